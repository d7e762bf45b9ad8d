// The pinned pixel: its mark on the stage, its moves, and who is told.

import { stagePoint } from "./view.js";

const TELL_DELAY_MS = 80;

/** One pixel of the photo that stays chosen while everything around it changes. */
export class Pin {
  /**
   * @param {HTMLElement} marker
   * @param {import("./stage.js").Stage} stage
   * @param {(at: {y: number, x: number}) => void} told a pixel is pinned
   * @param {() => void} removed there is no pin any more
   */
  constructor(marker, stage, told, removed) {
    this.marker = marker;
    this.stage = stage;
    this.told = told;
    this.removed = removed;
    this.at = null;
    this.timer = 0;
  }

  /** Put the mark where the pixel is in the present view. */
  place() {
    this.marker.hidden = !this.at;
    if (!this.at) return;
    const { y, x } = stagePoint(this.stage.view, this.at.y, this.at.x);
    this.marker.style.transform = "translate(" + x + "px, " + y + "px)";
  }

  /** Pin a pixel; a key that is held down moves it often and tells once. */
  set(y, x, delay = 0) {
    this.at = { y, x };
    this.place();
    clearTimeout(this.timer);
    if (delay) this.timer = setTimeout(() => this.told(this.at), delay);
    else this.told(this.at);
  }

  remove() {
    clearTimeout(this.timer);
    if (!this.at) return;
    this.at = null;
    this.place();
    this.removed();
  }

  /** Move by pixels of the photo, and the view along when the pin would leave it. */
  move(down, right) {
    const { map, height, width } = this.stage;
    const y = Math.min(map.height - 1, Math.max(0, this.at.y + down));
    const x = Math.min(map.width - 1, Math.max(0, this.at.x + right));
    const point = stagePoint(this.stage.view, y, x);
    const awayY = point.y < 0 || point.y > height;
    const awayX = point.x < 0 || point.x > width;
    if (awayY || awayX) {
      this.stage.pan(awayY ? height / 2 - point.y : 0, awayX ? width / 2 - point.x : 0);
    }
    this.set(y, x, TELL_DELAY_MS);
  }
}
