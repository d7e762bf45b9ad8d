// The viewer: settings in one place, and what each gesture, key and value does to them.
//
// Gradio runs the joined files as one function body, with element, props, trigger and watch in
// scope. The HTML is static: a new value keeps settings, focus and scroll position.

import { PixelCard } from "../pixel_card/card.js";
import { HINT, Pin, Readout } from "../pixel_card/pixel.js";
import { CutPanel } from "../saving/cut_panel.js";
import { fileStem } from "../saving/handing.js";
import { listenToSaving } from "../saving/menu.js";
import { describePhoto } from "../shared/headline.js";
import { Legend } from "../shared/legend.js";
import { regionAt } from "../shared/regions.js";
import { countUnsure, doubtInWords, readPixel } from "../shared/statistics.js";
import { Stage } from "./canvas.js";
import { listenToPanel, showFullScreen, thresholdInWords, toggleFullScreen } from "./controls.js";
import { HiddenClasses } from "./hidden_classes.js";
import { KEYS_IN_WORDS, ZOOM_STEP, listenToKeys, listenToPointers } from "./input.js";
import { Loader } from "./loader.js";
import { completeMap } from "./map.js";
import { Names } from "./names.js";
import { makeStyle, unsureLevel } from "./renderer.js";
import { StatusOverlay } from "./status_overlay.js";
import { zoomInWords } from "./viewport.js";

const root = element.querySelector(".pw");
const find = (selector) => root.querySelector(selector);
const settings = {
  show: "labels", // or "sure": the confidence
  opacity: 0.6,
  threshold: 0, // percent; 0: what is unsure is what the map's sets say
  mark: true, // show what is unsure
  mode: "both",
  background: "clear",
  palette: "safe",
  focus: -1, // the class pointed at in the legend
  names: true,
  compare: false,
  split: 0.5,
};
const hidden = new HiddenClasses();
let value = null;
let map = null;
let style = null;
let hovered = -1;

const stageBox = find(".pw-stage");
const overlay = new StatusOverlay(root);
const readout = new Readout(find(".pw-readout"), find(".pw-hint-bar"), HINT);
const stage = new Stage(stageBox, () => ({ style, outline: outlined() }), viewChanged);
const names = new Names(find(".pw-names"), stage, () =>
  map && settings.names && settings.opacity ? hidden.indices(map.categories) : null,
);
const card = new PixelCard(root, stage, {
  close() {
    pin.remove();
    stageBox.focus();
  },
  only(index) {
    hidden.isolate(map, index);
    settingsChanged();
  },
  cut: () => cutPanel.toggle(),
  ask: () => trigger("pin", { ...pin.at, id: value.id }),
});
const cutPanel = new CutPanel(find(".pw-cut"), find(".pw-card-cut"), pinnedRegion, () =>
  card.resized(),
);
const pin = new Pin(find(".pw-pin"), stage, { moved: showCard, told: pinned, removed: unpinned });

// Settings.

const hex = (index) => map.categories[index][settings.palette];
const colors = () => map.colors[settings.palette];
const unsurePixels = () =>
  settings.threshold ? countUnsure(map.counts, unsureLevel(settings.threshold)) : map.several;
const makeTables = (changes) =>
  makeStyle({ ...settings, ...changes }, colors(), hidden.indices(map.categories), map.background);

function repaint() {
  if (!map) return;
  style = makeTables();
  stage.labelsChanged();
}

function updateLegend() {
  if (!map) return;
  find(".pw-threshold-value").textContent = thresholdInWords(settings.threshold);
  legend.update({
    hex,
    hidden: hidden.indices(map.categories),
    unsure: {
      threshold: settings.threshold,
      marked: settings.mark,
      pixels: unsurePixels(),
    },
    pixels: map.height * map.width,
  });
}

function settingsChanged() {
  repaint();
  updateLegend();
  names.follow();
  card.recolor(dress);
  find(".pw-scale").hidden = settings.show !== "sure";
}

const legend = new Legend(find(".pw-legend"), {
  toggle(index) {
    hidden.toggle(map, index);
    settingsChanged();
  },
  isolate(index) {
    hidden.isolate(map, index);
    settingsChanged();
  },
  showAll() {
    hidden.showAll();
    settingsChanged();
  },
  toggleUnsure() {
    settings.mark = !settings.mark;
    settingsChanged();
  },
  focus(index) {
    if (settings.focus === index) return;
    settings.focus = index;
    repaint();
  },
});

// Looking and pinning.

const readHere = (y, x) => ({
  ...readPixel(map, y, x, unsureLevel(settings.threshold)),
  color: hex(map.classes[y * map.width + x]),
});

/** A class at a pixel as the card shows it. */
const dress = (one) => ({
  ...one,
  name: map.categories[one.index].name,
  color: hex(one.index),
  isRest: one.index === map.background,
});

/** The region to bring out: the one under the pointer, else the pinned one. */
function outlined() {
  return hovered < 0 && pin.at ? regionAt(map.regions, pin.at.y, pin.at.x) : hovered;
}

function look(y, x, touch) {
  const at = stage.pixelAt(y, x);
  if (!at) {
    stopLooking();
    return;
  }
  const pixel = readHere(at.y, at.x);
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
  card.place();
  names.follow();
  root.dataset.zoomed = String(!stage.isWhole);
  find(".pw-zoom-value").textContent = zoomInWords(stage.view.scale / stage.fitScale);
}

/** What the map knows of the pinned pixel, at once. */
function showCard({ y, x }) {
  const { index, runnerUpIndex, confidence } = readHere(y, x);
  const first = dress({ index, p: confidence });
  cutPanel.close();
  card.show({ y, x }, { first, second: dress({ index: runnerUpIndex }) }, dress);
  stage.outlineChanged();
}

/** The server has the whole distribution at a pixel: it gets the pixel's place. */
function pinned({ y, x }) {
  trigger("pin", { y, x, id: value.id });
  find(".pw-sr-status").textContent = "Row " + y + ", column " + x + ": " + card.words;
}

function unpinned() {
  find(".pw-sr-status").textContent = "Closed.";
  card.hide();
  stage.outlineChanged();
  trigger("unpin", {});
}

document.addEventListener("pixelwise-pixel", ({ detail }) => map && card.receive(detail, dress));

listenToPointers(stageBox, {
  look: (y, x, touch) => map && look(y, x, touch),
  leave: stopLooking,
  pin(y, x) {
    const pixel = stage.pixelAt(y, x);
    if (pixel) pin.set(pixel.y, pixel.x);
  },
  unpin: () => pin.remove(),
  pan: (down, right) => stage.pan(down, right),
  zoom: (...move) => stage.zoom(...move),
  isZoomed: () => Boolean(map) && !stage.isWhole,
  toggleZoom(y, x) {
    if (!map) return;
    if (stage.isWhole) stage.zoom(Math.max(3, 1 / stage.fitScale), y, x);
    else stage.fit();
  },
});
listenToKeys(stageBox, stage, pin, card);

listenToPanel(root, settings, {
  painted() {
    repaint();
    names.follow();
  },
  changed: settingsChanged,
  buttons: {
    "zoom-in": () => stage.zoom(ZOOM_STEP),
    "zoom-out": () => stage.zoom(1 / ZOOM_STEP),
    fit: () => stage.fit(),
    full: () => toggleFullScreen(root),
  },
});
showFullScreen(root, find("[data-act=full]"));

/** The photo's column under the divider, where the labels begin; 0 without a divider. */
function firstLabelled() {
  if (!settings.compare) return 0;
  const edge = (settings.split * stage.width - stage.view.left) / stage.view.scale;
  return Math.min(map.width, Math.max(0, Math.round(edge)));
}

/** What the cut-out of the pinned pixel's region is made of; specks inside it belong to it. */
function pinnedRegion() {
  const region = map.owners[regionAt(map.regions, pin.at.y, pin.at.x)];
  const { name } = map.categories[map.regions.classes[region]];
  return {
    map,
    photo: stage.levels[0],
    keep: (id) => map.owners[id] === region,
    stem: fileStem(value.name) + "-" + fileStem(name),
  };
}

listenToSaving(find(".pw-menu"), {
  /** What is to be saved, as it is seen now; null while there is nothing. */
  result: () =>
    map && {
      value,
      map,
      photo: stage.levels[0],
      style: makeTables({ focus: -1 }),
      from: firstLabelled(),
      names,
      hidden: hidden.indices(map.categories),
      threshold: settings.threshold,
      unsurePixels: unsurePixels(),
    },
  done: (text) => (find(".pw-sr-status").textContent = text),
  failed: (text) => overlay.show("error", "Not saved", text, true),
});

// Values.

function showResult(next, loaded) {
  // What still makes sense is kept: hidden classes by name, the pin while the size is the same.
  hidden.showIfAllHidden(loaded.map);
  if (map?.height !== loaded.map.height || map?.width !== loaded.map.width) pin.remove();
  ({ map } = loaded);
  completeMap(map);
  value = next;
  hovered = -1;
  settings.focus = -1;
  root.dataset.state = "ready";
  stageBox.style.setProperty("--pw-aspect", map.width + " / " + map.height);
  const isVoc = (value.palette || "VOC") === "VOC";
  find(".pw-own").textContent = isVoc ? "As in research papers (VOC)" : value.palette + " colours";
  find("[data-setting=background]").disabled = map.background < 0;
  find(".pw-size").textContent = map.width + " × " + map.height;
  find(".pw-note").textContent = value.note || "";
  const sentence = describePhoto(map.areas, map.categories, map.background);
  find(".pw-summary").textContent = sentence;
  const things = value.categories.length - (map.background < 0 ? 0 : 1);
  find(".pw-doubt").textContent = doubtInWords(map.several / (map.height * map.width), things);
  legend.fill(map.areas, map.categories, map.background);
  overlay.hide(true);
  updateLegend();
  style = makeTables();
  names.clear();
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
  names.clear();
  root.dataset.zoomed = "false";
  root.dataset.state = "empty";
  overlay.hide(false);
}

const loader = new Loader({
  show: showResult,
  clear: showNothing,
  failed: (text) => overlay.show("error", "The result could not be shown", text, Boolean(map)),
  working: (text, fraction) => overlay.show("working", "One moment", text, Boolean(map), fraction),
  error: (text) => overlay.show("error", "This picture cannot be used", text, Boolean(map)),
});

find(".pw-dismiss").addEventListener("click", () => {
  overlay.hide(true);
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
  get names() {
    return names.placed.map(({ text, row, column }) => ({ text, row, column }));
  },
  get pin() {
    return pin.at;
  },
  get hidden() {
    return [...hidden.names];
  },
};
watch("value", () => loader.receive(props.value));
loader.receive(props.value);
