// The camera: open and switch it, and read its newest frame as a small JPEG.

import { missingCamera } from "./camera_errors.js";

const QUALITY = 0.85;
const NO_NEW_FRAME_MS = 500;

/** An error whose message is for the user. */
export class Refused extends Error {}

/** One camera at a time, shown in a video element. */
export class Camera {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.stream = null;
    this.canvas = document.createElement("canvas");
    this.id = "";
    this.requests = 0; // a camera that opens after a newer request is closed again
  }

  /**
   * Open the camera with this id, or the one facing away from the user.
   * @param {string} id a device's id, or "" for any
   * @param {() => void} onLost called when the camera disappears
   */
  async open(id, onLost) {
    const devices = navigator.mediaDevices;
    const support = { secure: window.isSecureContext, has: !!devices?.getUserMedia };
    const missing = missingCamera({ ...support, host: location.host });
    if (missing) throw new Refused(missing);
    this.close();
    const request = this.requests;
    const choice = id ? { deviceId: { exact: id } } : { facingMode: { ideal: "environment" } };
    const video = { ...choice, width: { ideal: 640 }, height: { ideal: 480 } };
    const stream = await devices.getUserMedia({ video, audio: false });
    if (request !== this.requests) {
      stream.getTracks().forEach((track) => track.stop());
      throw new DOMException("superseded by a newer request", "AbortError");
    }
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.stream === stream && onLost());
    const settings = track.getSettings?.() ?? {};
    this.id = settings.deviceId || "";
    this.mirrored = settings.facingMode !== "environment";
    this.video.srcObject = stream;
    await this.video.play();
  }

  close() {
    this.requests++;
    const { stream } = this;
    this.stream = null; // before the tracks end, so that onLost is not called
    stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  /** Return the ids of all cameras; browsers list them only once one is open. */
  async all() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  }

  /** Resolve when the camera has a new frame, or after NO_NEW_FRAME_MS. */
  newFrame() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, NO_NEW_FRAME_MS);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(done);
      else requestAnimationFrame(done);
    });
  }

  /**
   * Return the newest frame as a JPEG.
   * @param {number} side its shorter side in pixels, unless the camera's is shorter
   * @returns {Promise<Blob>}
   */
  async frame(side) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, side / Math.min(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    const context = this.canvas.getContext("2d", { alpha: false });
    context.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const blob = await new Promise((done) => this.canvas.toBlob(done, "image/jpeg", QUALITY));
    if (!blob) throw new Refused("The browser could not read the camera's picture. Start again.");
    return blob;
  }
}
