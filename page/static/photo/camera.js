// A photo from the camera: a phone's own camera program, elsewhere a window with Back.

/** Takes photos in a dialog. */
class PhotoCamera {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {(file: File) => void} taken
   */
  constructor(dialog, taken) {
    this.dialog = dialog;
    this.taken = taken;
    this.video = dialog.querySelector("video");
    this.refused = dialog.querySelector(".ph-refused");
    this.shoot = dialog.querySelector("[data-act=shoot]");
    this.shoot.addEventListener("click", () => this.take());
    dialog.querySelector("[data-act=back]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.stop());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  async open() {
    this.say("");
    this.shoot.disabled = true;
    this.dialog.showModal();
    const devices = navigator.mediaDevices;
    const missing = missingCamera({
      secure: window.isSecureContext,
      has: Boolean(devices?.getUserMedia),
      host: location.host,
    });
    if (missing) {
      this.say(missing);
      return;
    }
    try {
      const stream = await devices.getUserMedia({
        video: { width: { ideal: 1920 }, height: { ideal: 1080 } },
      });
      if (!this.dialog.open) {
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      this.shoot.disabled = false;
    } catch (error) {
      this.say(refusal(error));
    }
  }

  say(text) {
    this.refused.textContent = text;
    this.video.hidden = Boolean(text);
    this.shoot.hidden = Boolean(text);
  }

  async take() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
    this.dialog.close();
    this.taken(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.video.srcObject = null;
  }
}
