// The legend: one row for each class, largest first; it works with mouse, keyboard and touch.

import { percent } from "./statistics.js";

const LONG_PRESS_MS = 500;

/** Return a new element with a CSS class and an optional text. */
export function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Show the result in one sentence; lines break between classes. */
export function fillSummary(box, words) {
  box.replaceChildren(...words.flatMap((text, i) => [i ? ", " : "", make("span", "", text)]));
}

/** Return a colour's square; the class name beside it is the text for screen readers. */
function makeSwatch() {
  const swatch = make("span", "pw-swatch");
  swatch.setAttribute("aria-hidden", "true");
  return swatch;
}

/** Call `pressed` after a long press, and suppress the click that follows. */
function listenForLongPress(button, pressed) {
  let timer = 0;
  let suppress = false;
  const stop = () => clearTimeout(timer);
  button.addEventListener("pointerdown", (event) => {
    suppress = false;
    if (event.pointerType === "mouse") return;
    timer = setTimeout(() => {
      suppress = true;
      pressed();
    }, LONG_PRESS_MS);
  });
  for (const type of ["pointerup", "pointercancel", "pointerleave"]) {
    button.addEventListener(type, stop);
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener(
    "click",
    (event) => {
      if (!suppress) return;
      suppress = false;
      event.stopImmediatePropagation();
    },
    { capture: true },
  );
}

/** Return a class's row: a toggle with swatch, name, share and confidence, and "only". */
function makeRow(area, category, act) {
  const row = make("li", "pw-row");
  const toggle = make("button", "pw-class");
  toggle.type = "button";
  toggle.dataset.index = area.index;
  const share = make("span", "pw-share", percent(area.fraction, 1));
  const sure = make("span", "pw-confidence", percent(area.confidence) + " sure");
  sure.title = "Mean confidence of its pixels";
  const bar = make("span", "pw-bar");
  bar.style.setProperty("--pw-part", area.fraction);
  toggle.append(makeSwatch(), make("span", "pw-name", category.name), share, bar, sure);
  toggle.title = "Click to hide or show, double-click to see this class alone";
  const only = make("button", "pw-solo", "only");
  only.type = "button";
  only.setAttribute("aria-label", "Show only " + category.name);
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

/** The rows of classes, the row of unsure pixels, and the button that shows all classes. */
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

  /** Build the rows of a new result. */
  fill(areas, categories) {
    this.rows.clear();
    const rows = areas.map((area) => {
      const row = makeRow(area, categories[area.index], this.act);
      this.rows.set(area.index, row);
      return row;
    });
    this.list.replaceChildren(...rows);
  }

  /** Update colours, hidden classes and the number of unsure pixels. */
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
   * Update the row that counts unsure pixels.
   * @param {{known: boolean, threshold: number, marked: boolean, pixels: number}} unsure
   * @param {number} pixels of the photo
   */
  updateUnsure(unsure, pixels) {
    const row = this.unsure;
    const text = (name, value) => (row.querySelector(name).textContent = value);
    row.hidden = !unsure.known;
    row.dataset.by = unsure.threshold ? "threshold" : "sets";
    row.setAttribute("aria-pressed", String(unsure.marked));
    row.classList.toggle("pw-hidden", !unsure.marked);
    text(".pw-name", unsure.threshold ? "unsure (below " + unsure.threshold + " %)" : "unsure");
    text(".pw-share", percent(unsure.pixels / pixels, 1));
    const count = unsure.pixels.toLocaleString("en") + (unsure.pixels === 1 ? " pixel" : " pixels");
    text(".pw-count", count + (unsure.threshold ? "" : " that may be two things or more"));
  }

  /** Highlight the class at the pointer. */
  point(index) {
    const row = this.rows.get(index);
    if (row === this.pointed) return;
    if (this.pointed) this.pointed.classList.remove("pw-pointed");
    this.pointed = row;
    if (this.pointed) this.pointed.classList.add("pw-pointed");
  }
}
