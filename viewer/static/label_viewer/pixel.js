// The readout of the pixel at the pointer, and the pinned pixel.

import { make } from "../shared/legend.js";
import { percent } from "../shared/statistics.js";
import { stagePoint } from "./viewport.js";

/** The text of the hint bar. */
export const HINT = matchMedia("(hover: none)").matches
  ? "Drag on the photo to read it. Tap a pixel to ask why. Pinch to zoom."
  : "Point at the photo to read it. Click a pixel to ask why. Scroll to zoom.";

const GAP = 18;

/** Create a readout's elements once: later only texts and a colour change. */
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

/** Return a CSS offset beside the pointer, on the side with more room. */
function offsetBeside(at, room) {
  return at < room / 2
    ? "min(" + (at + GAP) + "px, calc(" + room + "px - 100%))"
    : "max(0px, calc(" + (at - GAP) + "px - 100%))";
}

/** The readout: beside the pointer for a mouse, above the photo for a finger. */
export class Readout {
  /**
   * @param {HTMLElement} box floats over the stage
   * @param {HTMLElement} dock the bar above the stage, which shows the hint otherwise
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
      const [x, y] = [offsetBeside(at.x, at.width), offsetBeside(at.y, at.height)];
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

const PIN_DELAY_MS = 80;

/** The pinned pixel of the photo, which stays while view and settings change. */
export class Pin {
  /**
   * @param {HTMLElement} marker
   * @param {import("./canvas.js").Stage} stage
   * @param {(at: {y: number, x: number}) => void} onPinned called after a pixel was pinned
   * @param {() => void} onRemoved called after the pin was removed
   */
  constructor(marker, stage, onPinned, onRemoved) {
    this.marker = marker;
    this.stage = stage;
    this.onPinned = onPinned;
    this.onRemoved = onRemoved;
    this.at = null;
    this.timer = 0;
  }

  /** Move the marker to the pixel's position in the current view. */
  place() {
    this.marker.hidden = !this.at;
    if (!this.at) return;
    const { y, x } = stagePoint(this.stage.view, this.at.y, this.at.x);
    this.marker.style.transform = "translate(" + x + "px, " + y + "px)";
  }

  /** Pin a pixel; with a delay, only the last of several quick moves is reported. */
  set(y, x, delay = 0) {
    this.at = { y, x };
    this.place();
    clearTimeout(this.timer);
    if (delay) this.timer = setTimeout(() => this.onPinned(this.at), delay);
    else this.onPinned(this.at);
  }

  remove() {
    clearTimeout(this.timer);
    if (!this.at) return;
    this.at = null;
    this.place();
    this.onRemoved();
  }

  /** Move by pixels of the photo, and shift the view if the pin would leave it. */
  move(down, right) {
    const { map, height, width } = this.stage;
    const y = Math.min(map.height - 1, Math.max(0, this.at.y + down));
    const x = Math.min(map.width - 1, Math.max(0, this.at.x + right));
    const point = stagePoint(this.stage.view, y, x);
    const outsideY = point.y < 0 || point.y > height;
    const outsideX = point.x < 0 || point.x > width;
    if (outsideY || outsideX) {
      this.stage.pan(outsideY ? height / 2 - point.y : 0, outsideX ? width / 2 - point.x : 0);
    }
    this.set(y, x, PIN_DELAY_MS);
  }
}
