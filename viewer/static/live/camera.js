// The camera: opened, switched, and its newest frame as a small JPEG.

import { missingCamera } from "./camera_errors.js";

const QUALITY = 0.85;
const NO_NEW_FRAME_MS = 500;

/** An error whose message is for the person. */
export class Refused extends Error {}

/** One camera at a time, shown in a video element. */
export class Camera {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.stream = null;
    this.canvas = document.createElement("canvas");
    this.id = "";
    this.asked = 0; // a camera that arrives after the next one was asked for is not wanted
  }

  /**
   * Open a camera: the one of this id, else one that looks away from the person.
   * @param {string} id a device's id, or "" for any
   * @param {() => void} gone called when the camera disappears
   */
  async open(id, gone) {
    const devices = navigator.mediaDevices;
    const where = { secure: window.isSecureContext, has: !!devices?.getUserMedia };
    const missing = missingCamera({ ...where, host: location.host });
    if (missing) throw new Refused(missing);
    this.close();
    const asked = this.asked;
    const which = id ? { deviceId: { exact: id } } : { facingMode: { ideal: "environment" } };
    const video = { ...which, width: { ideal: 640 }, height: { ideal: 480 } };
    const stream = await devices.getUserMedia({ video, audio: false });
    if (asked !== this.asked) {
      stream.getTracks().forEach((track) => track.stop());
      throw new DOMException("not wanted any more", "AbortError");
    }
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.stream === stream && gone());
    const settings = track.getSettings?.() ?? {};
    this.id = settings.deviceId || "";
    this.mirrored = settings.facingMode !== "environment";
    this.video.srcObject = stream;
    await this.video.play();
  }

  close() {
    this.asked++;
    const { stream } = this;
    this.stream = null; // before the tracks end, so that nobody takes it for an accident
    stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  /** Ids of all cameras; browsers tell them once one is open. */
  async all() {
    const found = await navigator.mediaDevices.enumerateDevices();
    return found.filter((device) => device.kind === "videoinput").map((device) => device.deviceId);
  }

  /** Resolves when the camera has a frame that was not there before, or has none for a while. */
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
   * The newest frame as a JPEG.
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
