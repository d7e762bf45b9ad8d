// What a person does with a cut-out: choose what is behind it; save, copy or share it.

import { listenToChoice } from "../label_viewer/controls.js";
import { cutOut } from "./cutout.js";
import { canCopy, canShare, copyPicture, download, sharePicture, toPng } from "./handing.js";

const PREVIEW_SIDE = 480;

/** The panel within the card of a pixel. */
export class CutPanel {
  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} opener the button that opens it
   * @param {() => {map: object, photo: CanvasImageSource, keep: (id: number) => boolean,
   *   stem: string}} source what would be cut out now; stem: of the file's name
   * @param {() => void} resized the panel has opened or closed
   */
  constructor(box, opener, source, resized) {
    this.box = box;
    this.opener = opener;
    this.source = source;
    this.resized = resized;
    this.behind = "none";
    const part = (name) => box.querySelector(".pw-cut-" + name);
    this.preview = part("preview");
    this.color = part("color");
    this.said = part("said");
    listenToChoice(box.querySelector(".pw-choice"), (_, choice) => {
      this.behind = choice;
      this.color.hidden = choice !== "color";
      this.draw();
    });
    this.color.addEventListener("input", () => this.draw());
    part("copy").hidden = !canCopy();
    part("share").hidden = !canShare();
    part("back").addEventListener("click", () => {
      this.close();
      opener.focus();
    });
    part("save").addEventListener("click", () =>
      this.hand("Saved.", async () => download(await this.file(), this.name)),
    );
    part("copy").addEventListener("click", () =>
      this.hand("Copied. Paste it where you like.", () => copyPicture(this.file())),
    );
    part("share").addEventListener("click", () =>
      this.hand("", async () => sharePicture(await this.file(), this.name)),
    );
  }

  get name() {
    const behind = this.behind === "none" ? "" : "-" + this.behind;
    return this.source().stem + behind + ".png";
  }

  file() {
    return toPng(this.canvas);
  }

  async hand(done, act) {
    try {
      await act();
      this.said.textContent = done;
    } catch {
      this.said.textContent = "This browser does not allow that. Save it instead.";
    }
  }

  toggle() {
    if (this.box.hidden) this.open();
    else this.close();
  }

  open() {
    this.show(true);
    this.draw();
    this.resized();
    this.box.querySelector("input:checked").focus({ preventScroll: true });
  }

  close() {
    if (this.box.hidden) return;
    this.show(false);
    this.canvas = null;
    this.resized();
  }

  show(on) {
    this.box.hidden = !on;
    this.box.parentElement.classList.toggle("pw-cutting", on);
    this.opener.setAttribute("aria-expanded", String(on));
    this.said.textContent = "";
  }

  draw() {
    const { map, photo, keep } = this.source();
    const behind = this.behind === "color" ? this.color.value : this.behind;
    this.canvas = cutOut(map, photo, keep, behind);
    this.said.textContent = "";
    const scale = Math.min(1, PREVIEW_SIDE / Math.max(map.height, map.width));
    this.preview.height = Math.max(1, Math.round(map.height * scale));
    this.preview.width = Math.max(1, Math.round(map.width * scale));
    const context = this.preview.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, 0, 0, this.preview.width, this.preview.height);
  }
}
