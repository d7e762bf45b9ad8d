// The viewer: settings in one place, and what each gesture, key and value does to them.
//
// Gradio runs the joined files as the body of one function with element, props, trigger and watch
// in scope, once for each viewer on the page. The HTML around is static, so that a new value never
// rebuilds it: settings, focus and scroll position stay.

import { listenToChoice, listenToDivider, listenToMenu, listenToSlider } from "./controls.js";
import { showFullScreen, toggleFullScreen } from "./controls.js";
import { listenToPointers } from "./gestures.js";
import { KEYS_IN_WORDS, listenToKeys } from "./keys.js";
import { Legend, make } from "./legend.js";
import { Loader } from "./loading.js";
import { countUnsure, describeAreas, percent } from "./measure.js";
import { makeStyle, unsureLevel } from "./paint.js";
import { paletteColors } from "./palette.js";
import { Pin } from "./pin.js";
import { Readout } from "./reading.js";
import { regionAt } from "./regions.js";
import { download, makeFile } from "./save.js";
import { Stage } from "./stage.js";
import { Veil } from "./veil.js";

const HINT = matchMedia("(hover: none)").matches
  ? "Drag on the photo to read it. Tap a pixel to ask why. Pinch to zoom."
  : "Point at the photo to read it. Click a pixel to ask why. Scroll to zoom.";

const root = element.querySelector(".pw");
const find = (selector) => root.querySelector(selector);
const settings = {
  opacity: 0.6,
  threshold: 0, // percent
  mode: "both",
  background: "clear",
  palette: "voc",
  focus: -1, // the class pointed at in the legend
  compare: false,
  split: 0.5,
};
/** Names of hidden classes: they mean the same in the next photo and with another model. */
const hiddenNames = new Set();
let value = null;
let map = null;
let style = null;
let hovered = -1;

const stageBox = find(".pw-stage");
const veil = new Veil(root);
const readout = new Readout(find(".pw-readout"), find(".pw-dock"), HINT);
const stage = new Stage(stageBox, () => ({ style, outline: hovered }), viewChanged);
const pin = new Pin(find(".pw-pin"), stage, pinned, unpinned);

// Settings.

const rawName = (index) => map.categories[index].raw;
const hex = (index) => map.categories[index][settings.palette];
const colors = () => paletteColors(map.categories, settings.palette);
const hidden = () =>
  new Set(map.categories.filter(({ raw }) => hiddenNames.has(raw)).map(({ index }) => index));
const unsurePixels = () => countUnsure(map.counts, unsureLevel(settings.threshold));
const present = () => makeStyle(settings, colors(), hidden(), map.background);

function repaint() {
  if (!map) return;
  style = present();
  stage.labelsChanged();
}

function updateLegend() {
  if (!map) return;
  legend.update({
    hex,
    hidden: hidden(),
    threshold: settings.threshold,
    unsurePixels: unsurePixels(),
    pixels: map.height * map.width,
  });
}

function settingsChanged() {
  repaint();
  updateLegend();
}

const legend = new Legend(find(".pw-legend"), {
  toggle(index) {
    if (!hiddenNames.delete(rawName(index))) hiddenNames.add(rawName(index));
    settingsChanged();
  },
  isolate(index) {
    const others = map.areas.filter((area) => area.index !== index).map((area) => area.index);
    const alone = others.every((other) => hiddenNames.has(rawName(other)));
    if (alone && !hiddenNames.has(rawName(index))) hiddenNames.clear();
    else others.forEach((other) => hiddenNames.add(rawName(other)));
    hiddenNames.delete(rawName(index));
    settingsChanged();
  },
  focus(index) {
    if (settings.focus === index) return;
    settings.focus = index;
    repaint();
  },
  showAll() {
    hiddenNames.clear();
    settingsChanged();
  },
});

// Looking and pinning.

/** What the map says about one pixel. */
function readPixel(y, x) {
  const at = y * map.width + x;
  const index = map.classes[at];
  return {
    index,
    name: map.categories[index].name,
    color: hex(index),
    confidence: map.confidence[at] / 255,
    runnerUp: map.categories[map.runnerUp[at]].name,
    unsure: map.confidence[at] < unsureLevel(settings.threshold),
  };
}

function look(y, x, touch) {
  const at = stage.pixelAt(y, x);
  if (!at) {
    stopLooking();
    return;
  }
  const pixel = readPixel(at.y, at.x);
  hovered = regionAt(map.regions, at.y, at.x);
  legend.point(pixel.index);
  readout.show(pixel, touch ? null : { y, x, height: stage.height, width: stage.width });
  stage.outlineChanged();
}

function stopLooking() {
  if (hovered < 0) return;
  hovered = -1;
  readout.hide();
  legend.point(-1);
  stage.outlineChanged();
}

function viewChanged() {
  pin.place();
  const factor = stage.view.scale / stage.fitScale;
  const words = factor < 10 ? factor.toFixed(1).replace(".0", "") : Math.round(factor);
  find(".pw-zoom-value").textContent = words + "×";
}

/** The server knows the whole distribution at a pixel; it is told which one. */
function pinned({ y, x }) {
  trigger("pin", { y, x, id: value.id });
  const { name, confidence, runnerUp } = readPixel(y, x);
  const place = "Pinned row " + y + ", column " + x;
  const words = [place + ": " + name + " " + percent(confidence), "then " + runnerUp + "."];
  find(".pw-spoken").textContent = words.join(", ");
}

function unpinned() {
  find(".pw-spoken").textContent = "Pin removed.";
  trigger("unpin", {});
}

listenToPointers(stageBox, {
  look: (y, x, touch) => map && look(y, x, touch),
  leave: stopLooking,
  pin(y, x) {
    const pixel = stage.pixelAt(y, x);
    if (pixel) pin.set(pixel.y, pixel.x);
  },
  pan: (down, right) => stage.pan(down, right),
  zoom: (...move) => stage.zoom(...move),
  canZoomOut: () => map && !stage.isWhole,
  toggleZoom(y, x) {
    if (!map) return;
    if (stage.isWhole) stage.zoom(Math.max(3, 1 / stage.fitScale), y, x);
    else stage.fit();
  },
});
listenToKeys(stageBox, stage, pin);

// Controls.

const asPercent = (number) => number + " %";
listenToSlider(find(".pw-opacity"), find(".pw-opacity-value"), asPercent, (number) => {
  settings.opacity = number / 100;
  repaint();
});
const asThreshold = (number) => (number ? asPercent(number) : "off");
listenToSlider(find(".pw-threshold"), find(".pw-threshold-value"), asThreshold, (number) => {
  settings.threshold = number;
  settingsChanged();
});
for (const group of root.querySelectorAll(".pw-choice")) {
  listenToChoice(group, (setting, choice) => {
    settings[setting] = choice;
    settingsChanged();
    if (setting !== "palette") return;
    // The bars of the pinned pixel follow without asking the server.
    document.dispatchEvent(new CustomEvent("pixelwise-palette", { detail: choice }));
  });
}

function setSplit(split) {
  settings.split = split;
  root.style.setProperty("--pw-split", split);
  find(".pw-divider").setAttribute("aria-valuenow", String(Math.round(split * 100)));
  find(".pw-divider").setAttribute("aria-valuetext", Math.round(split * 100) + " % photo");
}
listenToDivider(find(".pw-divider"), stageBox, () => settings.split, setSplit);

function compare(button) {
  settings.compare = !settings.compare;
  root.dataset.compare = String(settings.compare);
  button.setAttribute("aria-pressed", String(settings.compare));
  root.querySelectorAll(".pw-divider, .pw-side").forEach((part) => {
    part.hidden = !settings.compare;
  });
  // Left at an edge, the divider would come back unseen.
  if (settings.split < 0.05 || settings.split > 0.95) setSplit(0.5);
}

const actions = {
  "zoom-in": () => stage.zoom(1.5),
  "zoom-out": () => stage.zoom(1 / 1.5),
  fit: () => stage.fit(),
  compare,
  full: () => toggleFullScreen(root),
};
for (const [name, action] of Object.entries(actions)) {
  const button = find("[data-act=" + name + "]");
  button.addEventListener("click", () => map && action(button));
}
showFullScreen(root, find("[data-act=full]"));

listenToMenu(find(".pw-menu"), async (what) => {
  if (!map) return;
  const edge = Math.round((settings.split * stage.width - stage.view.left) / stage.view.scale);
  try {
    const { blob, name } = await makeFile(what, {
      value,
      map,
      photo: stage.levels[0],
      style: makeStyle({ ...settings, focus: -1 }, colors(), hidden(), map.background),
      from: settings.compare ? Math.min(map.width, Math.max(0, edge)) : 0,
      colors: colors(),
      threshold: settings.threshold,
      unsurePixels: unsurePixels(),
    });
    download(blob, name);
  } catch (error) {
    veil.show("error", "Not saved", error.message, true);
  }
});

// Values.

/** Keep what still makes sense with the new result: hidden classes by name, the pin by size. */
function carryOver(after) {
  const names = after.areas.map((area) => after.categories[area.index].raw);
  if (names.every((name) => hiddenNames.has(name))) {
    names.forEach((name) => hiddenNames.delete(name));
  }
  if (map?.height !== after.height || map?.width !== after.width) pin.remove();
}

/** The result in one sentence, for the eye and for screen readers; lines break between classes. */
function describe() {
  const words = describeAreas(map.areas, map.categories, map.background);
  const parts = words.flatMap((text, i) => [i ? ", " : "", make("span", "", text)]);
  find(".pw-summary").replaceChildren(...parts);
}

function showResult(next, loaded) {
  carryOver(loaded.map);
  ({ map } = loaded);
  value = next;
  hovered = -1;
  settings.focus = -1;
  root.dataset.state = "ready";
  stageBox.style.setProperty("--pw-aspect", map.width + " / " + map.height);
  find(".pw-own").textContent = value.palette || "VOC";
  find("[data-setting=background]").disabled = map.background < 0;
  find(".pw-size").textContent = map.width + " × " + map.height;
  find(".pw-note").textContent = value.note || "";
  describe();
  legend.fill(map.areas, map.categories);
  veil.hide(true);
  updateLegend();
  style = present();
  stage.show(map, loaded.bitmap);
  const at = pin.at || value.pinned;
  if (at) pin.set(at.y, at.x);
}

function showNothing() {
  stopLooking();
  pin.remove();
  map = null;
  value = null;
  stage.clear();
  root.dataset.state = "empty";
  veil.hide(false);
}

const loader = new Loader({
  show: showResult,
  clear: showNothing,
  failed: (text) => veil.show("error", "The result could not be shown", text, Boolean(map)),
  working: (text, fraction) => veil.show("working", "Working", text, Boolean(map), fraction),
  error: (text) => veil.show("error", "That did not work", text, Boolean(map)),
});

find(".pw-dismiss").addEventListener("click", () => {
  veil.hide(true);
  stageBox.focus();
});
find(".pw-empty-title").textContent = props.empty_title;
find(".pw-empty-text").textContent = props.empty_text;
stageBox.setAttribute("aria-description", KEYS_IN_WORDS);

/** For tests and the curious, read-only by convention. */
root.pixelwise = {
  settings,
  stage,
  loader,
  get value() {
    return value;
  },
  get map() {
    return map;
  },
  get view() {
    return stage.view;
  },
  get pin() {
    return pin.at;
  },
  get hidden() {
    return [...hiddenNames];
  },
};
watch("value", () => loader.receive(props.value));
loader.receive(props.value);
