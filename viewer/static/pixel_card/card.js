// The card of the pinned pixel: what it is, how sure, and what else it could be.
//
// The first sentence comes from the map at once; the shares of the other classes follow when the
// server has answered. On a phone the card is a sheet at the bottom of the screen, else it stands
// beside the pixel. It is a child of the viewer's own element, so that full screen has it too.

import { make } from "../shared/elements.js";
import { capital, percent } from "../shared/statistics.js";
import { judgePixel } from "../shared/verdict.js";
import { placeBeside } from "./place.js";

const SHOWN = 3;
const SHEET = matchMedia("(max-width: 40rem)");
const AIR = 24;
const UNCOVER_MS = 350;
const PATIENCE_MS = 2500;
/** The map holds a confidence in a byte; the server's answer is exact. */
const ROUNDING = 0.004;

/** One answer: name, bar in the class's colour, share; without a share it is still to come. */
function makeAnswer({ name, color, p, isRest }) {
  const row = make("li", isRest ? "pw-answer pw-answer-rest" : "pw-answer");
  const track = make("span", "pw-answer-track");
  const fill = make("span", "pw-answer-fill");
  fill.style.setProperty("--pw-color", color);
  fill.style.setProperty("--pw-part", p ?? 0);
  track.append(fill);
  const share = make("span", "pw-answer-share", p === undefined ? "" : percent(p));
  row.append(make("span", "pw-answer-name", name), track, share);
  return row;
}

/** The card. */
export class PixelCard {
  /**
   * @param {HTMLElement} root the viewer, which the card is placed in
   * @param {import("../label_viewer/canvas.js").Stage} stage
   * @param {{close: () => void, only: (index: number) => void, cut: () => void,
   *   ask: () => void}} act ask: ask the server once more
   */
  constructor(root, stage, act) {
    this.root = root;
    this.stage = stage;
    this.box = root.querySelector(".pw-card");
    this.at = null;
    this.pixel = null;
    this.answer = null;
    this.last = null;
    this.open = false;
    this.timer = 0;
    this.patience = 0;
    this.act = act;
    const on = (name, action) => this.part(name).addEventListener("click", action);
    on("close", act.close);
    on("only", () => act.only(this.pixel.first.index));
    on("cut", act.cut);
    on("why", () => {
      this.open = !this.open;
      this.fill();
      this.resized();
    });
    this.box.addEventListener("keydown", (event) => this.key(event, act));
    SHEET.addEventListener("change", () => this.place());
  }

  part(name) {
    return this.box.querySelector(".pw-card-" + name);
  }

  /** Tab goes from the stage into the card and back, wherever the card stands in the document. */
  key(event, act) {
    const buttons = [...this.box.querySelectorAll("button")].filter((one) => !one.hidden);
    if (event.key === "Escape") act.close();
    else if (event.key !== "Tab" || !event.shiftKey || event.target !== buttons[0]) return;
    else this.stage.box.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go to the card's first control. */
  focus() {
    this.box.querySelector("button").focus();
  }

  get shown() {
    return Boolean(this.at);
  }

  /**
   * Show a pixel.
   * @param {{y: number, x: number}} at
   * @param {{first: object, second: object}} pixel what the map says: name, index, isRest, color
   *   of the two likeliest classes, p of the first
   * @param {(bar: object) => object} dress adds name, color and isRest to an answer's bar
   */
  show(at, pixel, dress) {
    this.at = at;
    this.pixel = pixel;
    this.answer = null;
    // A pixel that was asked about just before brings no new answer.
    if (this.last) this.receive(this.last, dress);
    this.fill();
    clearTimeout(this.patience);
    // Two answers at once may come as the second alone.
    this.patience = setTimeout(() => this.answer || this.act.ask(), PATIENCE_MS);
    clearTimeout(this.timer);
    // The second of two taps must find the stage where it is.
    if (SHEET.matches) this.timer = setTimeout(() => this.uncover(), UNCOVER_MS);
  }

  /**
   * What the server says about a pixel; an answer about another pixel is let go by.
   * @param {{y: number, x: number, bars: object[]} | {error: string} | null} answer
   * @param {(bar: object) => object} dress adds name, color and isRest to a bar
   */
  receive(answer, dress) {
    if (!answer) return;
    if (!answer.error) this.last = answer;
    if (!this.at) return;
    if (answer.error) {
      this.answer = answer;
    } else {
      const { first } = this.pixel;
      const [bar] = answer.bars;
      const here = answer.y === this.at.y && answer.x === this.at.x;
      if (!here || bar.index !== first.index || Math.abs(bar.p - first.p) > ROUNDING) return;
      this.answer = { bars: answer.bars.map(dress) };
    }
    this.fill();
  }

  /** The card in words, for screen readers. */
  get words() {
    return this.part("verdict").textContent + " " + this.part("number").textContent;
  }

  hide() {
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    this.at = null;
    this.box.hidden = true;
  }

  /** Take new colours. */
  recolor(dress) {
    if (!this.at) return;
    const { first, second } = this.pixel;
    this.pixel = { ...this.pixel, first: dress(first), second: dress(second) };
    if (this.answer?.bars) this.answer.bars = this.answer.bars.map(dress);
    this.fill();
  }

  fill() {
    const { first, second } = this.pixel;
    const bars = this.answer?.bars;
    const known = bars ? [bars[0], bars[1] || second] : [first, second];
    const { kind, text, more } = judgePixel(...known);
    this.box.dataset.kind = kind;
    this.box.dataset.state = bars ? "ready" : this.answer ? "error" : "waiting";
    this.box.style.setProperty("--pw-color", first.color);
    this.box.classList.toggle("pw-rest", first.isRest);
    this.part("verdict").textContent = text;
    this.part("number").textContent = percent(first.p);
    this.part("more").textContent = this.answer?.error || more;
    const answers = bars || [first, second, { name: "…", color: "transparent" }];
    const count = this.open && bars ? answers.length : SHOWN;
    this.part("answers").replaceChildren(
      ...answers.slice(0, count).map((one) => makeAnswer({ ...one, name: capital(one.name) })),
    );
    this.part("only").textContent = "Show only this";
    this.part("cut").hidden = first.isRest;
    this.part("why").hidden = !bars || bars.length <= SHOWN;
    this.part("why").setAttribute("aria-expanded", String(this.open));
    this.box.hidden = false;
    this.place();
  }

  /** Its content has grown or shrunk. */
  resized() {
    this.place();
    if (this.at && SHEET.matches) this.uncover();
  }

  /** Stand beside the pixel, on the stage; a phone's sheet has its place from the style sheet. */
  place() {
    if (!this.at) return;
    const { box, stage, root } = this;
    const { style } = box;
    box.classList.toggle("pw-sheet", SHEET.matches);
    Object.assign(style, { maxHeight: "", maxWidth: "", transform: "", visibility: "" });
    if (SHEET.matches) return;
    const at = stage.pointOf(this.at);
    const outside = at.y < 0 || at.x < 0 || at.y > stage.height || at.x > stage.width;
    style.visibility = outside ? "hidden" : "";
    const measure = (narrow) => {
      box.classList.toggle("pw-narrow", narrow);
      return placeBeside(at, { height: box.offsetHeight, width: box.offsetWidth }, stage);
    };
    const wide = measure(false);
    const { top, left, height, width } = wide.whole ? wide : measure(true);
    if (height < box.offsetHeight) style.maxHeight = height + "px";
    if (width < box.offsetWidth) style.maxWidth = width + "px";
    const [from, to] = [root.getBoundingClientRect(), stage.box.getBoundingClientRect()];
    const down = to.top - from.top + root.scrollTop + top;
    const right = to.left - from.left + root.scrollLeft + left;
    style.transform = "translate(" + right + "px, " + down + "px)";
  }

  /** Scroll the page so far that a sheet does not lie on the pixel; else it goes to the top. */
  uncover() {
    const { box, stage } = this;
    const covered = () => {
      const pixel = stage.box.getBoundingClientRect().top + stage.pointOf(this.at).y;
      return pixel + AIR - box.getBoundingClientRect().top;
    };
    box.classList.remove("pw-sheet-top");
    if (covered() <= 0) return;
    const scroller = document.fullscreenElement ? this.root : document.scrollingElement;
    scroller.scrollTop += covered();
    box.classList.toggle("pw-sheet-top", covered() > 1);
  }
}
