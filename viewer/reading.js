// The readout: what the map says about the pixel under the pointer or the finger.

import { make } from "./legend.js";
import { percent } from "./measure.js";

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
