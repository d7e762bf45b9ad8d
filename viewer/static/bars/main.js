// The full distribution over the classes at the pinned pixel, as the server computed it.

import { make } from "../shared/elements.js";
import { percent, setInWords } from "../shared/statistics.js";

const TOP = 5;
const box = element.querySelector(".pb");
const part = (name) => box.querySelector(".pb-" + name);
let palette = "voc"; // as the lesson's own figures, until the viewer tells of a choice
let open = false;

/** A margin in words: how far the first class is ahead of the second. */
function marginWords(value) {
  const points = (value.margin * 100).toFixed(1) + " points ahead of " + value.bars[1].name;
  const words =
    value.margin < 0.1 ? "a close call" : value.margin < 0.5 ? "a lead" : "a clear lead";
  return points + ", " + words;
}

/** Entropy in words: 0 is certain, the maximum is a guess among all classes. */
function entropyWords(value) {
  const share = value.entropy / value.max_entropy;
  const words = share < 0.1 ? "certain" : share < 0.4 ? "wavering" : "guessing";
  const bits = value.entropy.toFixed(2) + " of " + value.max_entropy.toFixed(2) + " bits";
  return bits + ", " + words;
}

function makeBar(bar) {
  const row = make("li", "pb-bar");
  const swatch = make("span", "pb-swatch");
  swatch.setAttribute("aria-hidden", "true");
  swatch.style.setProperty("--pb-color", bar[palette]);
  const track = make("span", "pb-track");
  const fill = make("span", "pb-fill");
  fill.style.setProperty("--pb-part", bar.p);
  track.append(fill);
  const value = make("span", "pb-value", percent(bar.p, 1));
  row.append(swatch, make("span", "pb-name", bar.name), track, value);
  return row;
}

function showMessage(text) {
  box.dataset.state = "empty";
  part("text").textContent = text;
  part("bars").replaceChildren();
  part("more").hidden = true;
  part("facts").hidden = true;
}

function show() {
  const value = props.value;
  if (!value || value.error) {
    showMessage(value?.error || props.empty_text);
    return;
  }
  const { bars } = value;
  box.dataset.state = "ready";
  const set = setInWords(bars.slice(0, value.set_size || 1).map((bar) => bar.name));
  part("text").textContent =
    "Row " + value.y + ", column " + value.x + ": " + set + ", " + percent(bars[0].p);
  part("bars").replaceChildren(...bars.slice(0, open ? bars.length : TOP).map(makeBar));
  part("more").hidden = bars.length <= TOP;
  part("more").textContent = open ? "Only the first " + TOP : "All " + bars.length + " classes";
  part("more").setAttribute("aria-expanded", String(open));
  part("facts").hidden = bars.length < 2;
  if (bars.length < 2) return;
  part("margin").textContent = marginWords(value);
  part("entropy").textContent = entropyWords(value);
}

part("more").addEventListener("click", () => {
  open = !open;
  show();
});
document.addEventListener("pixelwise-palette", (event) => {
  palette = event.detail;
  show();
});
watch("value", show);
show();
