// The legend: one row a class, largest first; what it does it does with keyboard and touch too.

import { make } from "./elements.js";
import { sureInWords } from "./headline.js";
import { percent } from "./statistics.js";

const LONG_PRESS_MS = 500;

/** A colour's square. It never stands without its name beside it. */
function makeSwatch() {
  const swatch = make("span", "pw-swatch");
  swatch.setAttribute("aria-hidden", "true");
  return swatch;
}

/**
 * Tell a press that is held from a click: calls `held`, and swallows the click that follows.
 */
function listenForLongPress(button, held) {
  let timer = 0;
  let swallow = false;
  const stop = () => clearTimeout(timer);
  button.addEventListener("pointerdown", (event) => {
    swallow = false;
    if (event.pointerType === "mouse") return;
    timer = setTimeout(() => {
      swallow = true;
      held();
    }, LONG_PRESS_MS);
  });
  for (const type of ["pointerup", "pointercancel", "pointerleave"]) {
    button.addEventListener(type, stop);
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener(
    "click",
    (event) => {
      if (!swallow) return;
      swallow = false;
      event.stopImmediatePropagation();
    },
    { capture: true },
  );
}

/** One class's row: a switch with swatch, name, share and confidence, and "only" beside it. */
function makeRow(area, category, isRest, act) {
  const row = make("li", isRest ? "pw-row pw-rest" : "pw-row");
  const toggle = make("button", "pw-class");
  toggle.type = "button";
  toggle.dataset.index = area.index;
  const share = make("span", "pw-share", percent(area.fraction, 1));
  const words = isRest ? "in the field: background" : sureInWords(area.confidence);
  const sure = make("span", "pw-confidence", words);
  if (!isRest) sure.title = percent(area.confidence) + " on average over its pixels";
  const bar = make("span", "pw-bar");
  bar.style.setProperty("--pw-part", area.fraction);
  toggle.append(makeSwatch(), make("span", "pw-name", category.name), share, bar, sure);
  toggle.title = "Click to hide or show, double-click to see this class alone";
  const only = make("button", "pw-solo", "Only this");
  only.type = "button";
  only.hidden = isRest;
  only.setAttribute("aria-label", "Only this: " + category.name);
  listenForLongPress(toggle, () => act.isolate(area.index));
  toggle.addEventListener("click", () => act.toggle(area.index));
  toggle.addEventListener("dblclick", () => act.isolate(area.index));
  only.addEventListener("click", () => act.isolate(area.index));
  row.addEventListener("pointerenter", () => act.focus(area.index));
  row.addEventListener("pointerleave", () => act.focus(-1));
  row.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) act.focus(area.index);
  });
  row.addEventListener("focusout", () => act.focus(-1));
  row.append(toggle, only);
  return row;
}

/** Rows of classes, the "unsure" line, and the control that brings everything back. */
export class Legend {
  /**
   * @param {HTMLElement} box
   * @param {{toggle: (index: number) => void, isolate: (index: number) => void,
   *   focus: (index: number) => void, showAll: () => void, toggleUnsure: () => void}} act
   */
  constructor(box, act) {
    this.list = box.querySelector(".pw-rows");
    this.unsure = box.querySelector(".pw-unsure");
    this.unsure.addEventListener("click", () => act.toggleUnsure());
    this.all = box.querySelector(".pw-all");
    this.act = act;
    this.rows = new Map();
    this.all.addEventListener("click", () => act.showAll());
  }

  /** Build the rows of a new result: the things by size, everything else last. */
  fill(areas, categories, background) {
    this.rows.clear();
    const isRest = ({ index }) => index === background;
    const ordered = [...areas.filter((area) => !isRest(area)), ...areas.filter(isRest)];
    const rows = ordered.map((area) => {
      const row = makeRow(area, categories[area.index], isRest(area), this.act);
      this.rows.set(area.index, row);
      return row;
    });
    this.list.replaceChildren(...rows);
  }

  /** Follow the settings: colours, what is hidden, how many pixels are unsure. */
  update({ hex, hidden, unsure, pixels }) {
    for (const [index, row] of this.rows) {
      const shown = !hidden.has(index);
      row.classList.toggle("pw-hidden", !shown);
      row.firstChild.setAttribute("aria-pressed", String(shown));
      row.style.setProperty("--pw-color", hex(index));
    }
    const anyHidden = [...this.rows.keys()].some((index) => hidden.has(index));
    this.all.disabled = !anyHidden;
    this.updateUnsure(unsure, pixels);
  }

  /**
   * The row that counts what is unsure.
   * @param {{threshold: number, marked: boolean, pixels: number}} unsure
   * @param {number} pixels of the photo
   */
  updateUnsure(unsure, pixels) {
    const row = this.unsure;
    const text = (name, value) => (row.querySelector(name).textContent = value);
    row.dataset.by = unsure.threshold ? "threshold" : "sets";
    row.setAttribute("aria-pressed", String(unsure.marked));
    row.classList.toggle("pw-hidden", !unsure.marked);
    text(".pw-name", unsure.threshold ? "unsure (below " + unsure.threshold + " %)" : "unsure");
    text(".pw-share", percent(unsure.pixels / pixels, 1));
    const count = unsure.pixels.toLocaleString("en") + (unsure.pixels === 1 ? " pixel" : " pixels");
    text(".pw-count", count + (unsure.threshold ? "" : " that may be two things or more"));
  }

  /** Point out the class under the pointer. */
  point(index) {
    const row = this.rows.get(index);
    if (row === this.pointed) return;
    if (this.pointed) this.pointed.classList.remove("pw-pointed");
    this.pointed = row;
    if (this.pointed) this.pointed.classList.add("pw-pointed");
  }
}
