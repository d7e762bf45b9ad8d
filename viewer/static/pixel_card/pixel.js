// The readout: what the map says about the pixel under the pointer or the finger.

import { make } from "../shared/elements.js";
import { percent } from "../shared/statistics.js";

/** What a person may do, in the hint bar. */
export const HINT = matchMedia("(hover: none)").matches
  ? "Tap anywhere to ask what it is. Pinch to zoom."
  : "Point to read. Click to ask why. Ctrl and wheel to zoom.";

const GAP = 18;

/** A reading's parts, made once: while the pointer moves only texts and a colour change. */
function makeReading() {
  const parts = {
    swatch: make("span", "pw-swatch"),
    name: make("strong", "pw-reading-name"),
    sure: make("span", "pw-reading-sure"),
    next: make("span", "pw-reading-next"),
  };
  const reading = make("div", "pw-reading");
  reading.append(...Object.values(parts));
  return { reading, parts };
}

/** Fill in colour, class, confidence and runner-up. */
function fillReading({ parts }, pixel) {
  const texts = {
    name: pixel.words,
    sure: percent(pixel.confidence) + (pixel.unsure ? " · unsure" : ""),
    next: pixel.several ? "" : "then " + pixel.runnerUp,
  };
  for (const [part, text] of Object.entries(texts)) {
    if (parts[part].textContent !== text) parts[part].textContent = text;
  }
  parts.swatch.style.setProperty("--pw-color", pixel.color);
}

/** An offset beside the pointer, on the side with more room, without measuring the readout. */
function beside(at, room) {
  return at < room / 2
    ? "min(" + (at + GAP) + "px, calc(" + room + "px - 100%))"
    : "max(0px, calc(" + (at - GAP) + "px - 100%))";
}

/** Beside the pointer for a mouse; above the photo, where no hand covers it, for a finger. */
export class Readout {
  /**
   * @param {HTMLElement} box floats over the stage
   * @param {HTMLElement} dock the line above the stage, which holds a hint otherwise
   * @param {string} hint
   */
  constructor(box, dock, hint) {
    this.box = box;
    this.dock = dock;
    this.floating = makeReading();
    this.docked = makeReading();
    this.hint = make("span", "pw-hint", hint);
    box.append(this.floating.reading);
    dock.replaceChildren(this.hint);
  }

  /**
   * @param {{words: string, confidence: number, runnerUp: string, several: boolean,
   *   unsure: boolean, color: string}} pixel
   * @param {{y: number, x: number, height: number, width: number} | null} at the pointer on its
   *   stage, null for a finger
   */
  show(pixel, at) {
    this.box.hidden = !at;
    fillReading(at ? this.floating : this.docked, pixel);
    if (at) {
      const [x, y] = [beside(at.x, at.width), beside(at.y, at.height)];
      this.box.style.transform = "translate(" + x + ", " + y + ")";
    } else {
      this.dock.replaceChildren(this.docked.reading);
    }
  }

  hide() {
    this.box.hidden = true;
    this.dock.replaceChildren(this.hint);
  }
}

// The pinned pixel: its mark on the stage, its moves, and who is told.

const TELL_DELAY_MS = 80;

/** One pixel of the photo that stays chosen while everything around it changes. */
export class Pin {
  /**
   * @param {HTMLElement} marker
   * @param {import("../label_viewer/canvas.js").Stage} stage
   * @param {{moved: (at: {y: number, x: number}) => void, told: (at: object) => void,
   *   removed: () => void}} act moved: at once, told: when it stays there, removed: no pin any more
   */
  constructor(marker, stage, act) {
    this.marker = marker;
    this.stage = stage;
    this.act = act;
    this.at = null;
    this.timer = 0;
  }

  /** Put the mark where the pixel is in the present view. */
  place() {
    this.marker.hidden = !this.at;
    if (!this.at) return;
    const { y, x } = this.stage.pointOf(this.at);
    this.marker.style.transform = "translate(" + x + "px, " + y + "px)";
  }

  /** Pin a pixel; a key that is held down moves it often and tells once. */
  set(y, x, delay = 0) {
    this.at = { y, x };
    this.place();
    this.act.moved(this.at);
    clearTimeout(this.timer);
    if (delay) this.timer = setTimeout(() => this.act.told(this.at), delay);
    else this.act.told(this.at);
  }

  remove() {
    clearTimeout(this.timer);
    if (!this.at) return;
    this.at = null;
    this.place();
    this.act.removed();
  }

  /** Move by pixels of the photo, and the view along when the pin would leave it. */
  move(down, right) {
    const { map, height, width } = this.stage;
    const y = Math.min(map.height - 1, Math.max(0, this.at.y + down));
    const x = Math.min(map.width - 1, Math.max(0, this.at.x + right));
    const point = this.stage.pointOf({ y, x });
    const awayY = point.y < 0 || point.y > height;
    const awayX = point.x < 0 || point.x > width;
    if (awayY || awayX) {
      this.stage.pan(awayY ? height / 2 - point.y : 0, awayX ? width / 2 - point.x : 0);
    }
    this.set(y, x, TELL_DELAY_MS);
  }
}
