// The viewer: settings in one place, and what each gesture, key and value does to them.
//
// Gradio runs the joined files as the body of one function with element, props, trigger and watch
// in scope, once for each viewer on the page. The HTML around is static, so that a new value never
// rebuilds it: settings, focus and scroll position stay.

import {
  listenToChoice,
  listenToDivider,
  listenToMenu,
  listenToSlider,
  toggleFullScreen,
} from "./controls.js";
import { listenToPointers } from "./gestures.js";
import { Legend, make } from "./legend.js";
import { loadValue } from "./loading.js";
import { countUnsure, describeAreas, percent, tableRows, toCsv } from "./measure.js";
import { makeStyle, unsureLevel } from "./paint.js";
import { paletteColors } from "./palette.js";
import { encodeIndexedPng } from "./png.js";
import { regionAt } from "./regions.js";
import { composePicture, download, toPng, toTableJson } from "./save.js";
import { Stage } from "./stage.js";
import { stagePoint } from "./view.js";

const PIN_DELAY_MS = 80;
const PAN_PART = 0.1;

const root = element.querySelector(".pw");
const find = (selector) => root.querySelector(selector);
const settings = {
  opacity: 0.6,
  threshold: 0,
  mode: "both",
  background: "clear",
  palette: "voc",
  focus: -1,
  compare: false,
  split: 0.5,
};
/** Names of hidden classes: they mean the same in the next photo and with another model. */
const hiddenNames = new Set();
let shown = null;
let map = null;
let style = null;
let hovered = -1;
let pin = null;
let latest = 0;
let newest = -Infinity;
let loading = null;
let loadMs = 0;

const stageBox = find(".pw-stage");
const readout = find(".pw-readout");
const dock = find(".pw-dock");
const touchOnly = matchMedia("(hover: none)").matches;
const stage = new Stage(stageBox, () => ({ style, outline: hovered }), placePin);

const hiddenIndices = () =>
  new Set(
    map.categories.filter((category) => hiddenNames.has(category.raw)).map(({ index }) => index),
  );
const hex = (index) => map.categories[index][settings.palette];
const colors = () => paletteColors(map.categories, settings.palette);

/** Recompute the tables and repaint: what every setting's change comes down to. */
function repaint() {
  if (!map) return;
  style = makeStyle(settings, colors(), hiddenIndices(), map.background);
  stage.labelsChanged();
}

/** Bring the legend up to date: after a toggle, a palette or a threshold, not after a hover. */
function updateLegend() {
  if (!map) return;
  legend.update({
    hex,
    hidden: hiddenIndices(),
    threshold: settings.threshold,
    unsurePixels: countUnsure(map.counts, unsureLevel(settings.threshold)),
    pixels: map.height * map.width,
  });
}

function settingsChanged() {
  repaint();
  updateLegend();
}

const legend = new Legend(find(".pw-legend"), {
  toggle(index) {
    const name = map.categories[index].raw;
    if (!hiddenNames.delete(name)) hiddenNames.add(name);
    settingsChanged();
  },
  isolate(index) {
    const others = map.areas.filter((area) => area.index !== index);
    const rest = others.map((area) => map.categories[area.index].raw);
    const alone = rest.every((name) => hiddenNames.has(name));
    const itself = map.categories[index].raw;
    if (alone && !hiddenNames.has(itself)) hiddenNames.clear();
    else rest.forEach((name) => hiddenNames.add(name));
    hiddenNames.delete(itself);
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

// Looking: the readout and the outlined region.

/** What the map says about one pixel. */
function readPixel(y, x) {
  const at = y * map.width + x;
  return {
    index: map.classes[at],
    name: map.categories[map.classes[at]].name,
    confidence: map.confidence[at] / 255,
    runnerUp: map.categories[map.runnerUp[at]].name,
    unsure: map.confidence[at] < unsureLevel(settings.threshold),
  };
}

/** A reading's parts, made once: while the pointer moves only texts and a colour change. */
function makeReading() {
  const reading = make("div", "pw-reading");
  const parts = {
    swatch: make("span", "pw-swatch"),
    name: make("strong", "pw-reading-name"),
    sure: make("span", "pw-reading-sure"),
    next: make("span", "pw-reading-next"),
  };
  reading.append(...Object.values(parts));
  return { reading, parts };
}

const floating = makeReading();
const docked = makeReading();
readout.append(floating.reading);

/** Fill in colour, class, confidence and runner-up. */
function fillReading({ parts }, pixel) {
  const texts = {
    name: pixel.name,
    sure: percent(pixel.confidence) + (pixel.unsure ? " · unsure" : ""),
    next: "then " + pixel.runnerUp,
  };
  for (const [part, text] of Object.entries(texts)) {
    if (parts[part].textContent !== text) parts[part].textContent = text;
  }
  parts.swatch.style.setProperty("--pw-color", hex(pixel.index));
}

/** Put the readout beside the pointer, on the side with more room, without measuring it. */
function placeReadout(y, x) {
  const gap = 18;
  const along = (at, room) =>
    at < room / 2
      ? "min(" + (at + gap) + "px, calc(" + room + "px - 100%))"
      : "max(0px, calc(" + (at - gap) + "px - 100%))";
  readout.style.transform =
    "translate(" + along(x, stage.width) + "," + along(y, stage.height) + ")";
}

function look(stageY, stageX, touch) {
  const pixel = stage.pixelAt(stageY, stageX);
  if (!pixel) {
    stopLooking();
    return;
  }
  hovered = regionAt(map.regions, pixel.y, pixel.x);
  legend.point(map.classes[pixel.y * map.width + pixel.x]);
  readout.hidden = touch;
  fillReading(touch ? docked : floating, readPixel(pixel.y, pixel.x));
  if (touch) dock.replaceChildren(docked.reading);
  else placeReadout(stageY, stageX);
  stage.outlineChanged();
}

function stopLooking() {
  readout.hidden = true;
  if (hovered < 0) return;
  hovered = -1;
  legend.point(-1);
  dock.replaceChildren(hintLine);
  stage.outlineChanged();
}

const hintLine = make(
  "span",
  "pw-hint",
  touchOnly
    ? "Drag on the photo to read it. Tap a pixel to ask why. Pinch to zoom."
    : "Point at the photo to read it. Click a pixel to ask why. Scroll to zoom.",
);

// The pin.

let pinTimer = 0;

function placePin() {
  const marker = find(".pw-pin");
  marker.hidden = !pin;
  if (pin) {
    const at = stagePoint(stage.view, pin.y, pin.x);
    marker.style.transform = "translate(" + at.x + "px," + at.y + "px)";
  }
  if (map) find(".pw-zoom-value").textContent = zoomWords(stage.view.scale / stage.fitScale);
}

function zoomWords(factor) {
  return (factor < 10 ? factor.toFixed(1).replace(".0", "") : Math.round(factor)) + "×";
}

/** Pin a pixel and tell the server, which knows the whole distribution there. */
function setPin(y, x, delay = 0) {
  pin = { y, x };
  placePin();
  clearTimeout(pinTimer);
  const tell = () => {
    trigger("pin", { y, x, id: shown.id });
    const pixel = readPixel(y, x);
    find(".pw-spoken").textContent =
      "Pinned row " +
      y +
      ", column " +
      x +
      ": " +
      pixel.name +
      " " +
      percent(pixel.confidence) +
      ", then " +
      pixel.runnerUp +
      ".";
  };
  if (delay) pinTimer = setTimeout(tell, delay);
  else tell();
}

function removePin() {
  clearTimeout(pinTimer);
  if (!pin) return;
  pin = null;
  placePin();
  find(".pw-spoken").textContent = "Pin removed.";
  trigger("unpin", {});
}

function movePin(down, right) {
  const y = Math.min(map.height - 1, Math.max(0, pin.y + down));
  const x = Math.min(map.width - 1, Math.max(0, pin.x + right));
  const at = stagePoint(stage.view, y, x);
  const outY = Math.min(0, at.y) || Math.max(0, at.y - stage.height);
  const outX = Math.min(0, at.x) || Math.max(0, at.x - stage.width);
  if (outY || outX) {
    stage.pan(outY && stage.height / 2 - at.y, outX && stage.width / 2 - at.x);
  }
  setPin(y, x, PIN_DELAY_MS);
}

// Gestures and keys on the stage.

function toggleZoom(y, x) {
  if (stage.view.scale > stage.fitScale * 1.01) stage.fit();
  else stage.zoom(Math.max(3, 1 / stage.fitScale), y, x);
}

listenToPointers(stageBox, {
  look: (y, x, touch) => map && look(y, x, touch),
  leave: stopLooking,
  pin(y, x) {
    const pixel = stage.pixelAt(y, x);
    if (pixel) setPin(pixel.y, pixel.x);
  },
  pan: (down, right) => stage.pan(down, right),
  zoom: (factor, y, x) => stage.zoom(factor, y, x),
  canZoomOut: () => map && stage.view.scale > stage.fitScale * 1.001,
  toggleZoom: (y, x) => map && toggleZoom(y, x),
});

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

stageBox.addEventListener("keydown", (event) => {
  if (!map || event.target !== stageBox || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow && pin) {
    const step = event.shiftKey ? 10 : 1;
    movePin(arrow[0] * step, arrow[1] * step);
  } else if (arrow) {
    stage.pan(-arrow[0] * stage.height * PAN_PART, -arrow[1] * stage.width * PAN_PART);
  } else if (event.key === "+" || event.key === "=") {
    zoomAtPin(1.5);
  } else if (event.key === "-" || event.key === "_") {
    zoomAtPin(1 / 1.5);
  } else if (event.key === "0") {
    stage.fit();
  } else if ((event.key === "Enter" || event.key === " ") && !pin) {
    const middle = stage.pixelAt(stage.height / 2, stage.width / 2);
    if (middle) setPin(middle.y, middle.x);
  } else if (event.key === "Escape" && pin) {
    removePin();
  } else {
    return;
  }
  event.preventDefault();
});

function zoomAtPin(factor) {
  const at = pin && stagePoint(stage.view, pin.y, pin.x);
  if (at) stage.zoom(factor, at.y, at.x);
  else stage.zoom(factor);
}

// Controls.

listenToSlider(
  find(".pw-opacity"),
  find(".pw-opacity-value"),
  (value) => value + " %",
  (value) => {
    settings.opacity = value / 100;
    repaint();
  },
);
listenToSlider(
  find(".pw-threshold"),
  find(".pw-threshold-value"),
  (value) => (value ? value + " %" : "off"),
  (value) => {
    settings.threshold = value;
    settingsChanged();
  },
);
for (const group of root.querySelectorAll(".pw-choice")) {
  listenToChoice(group, (setting, value) => {
    settings[setting] = value;
    settingsChanged();
    if (setting === "palette") tellPalette();
  });
}

/** The bars of the pinned pixel follow the palette, without the server. */
function tellPalette() {
  document.dispatchEvent(new CustomEvent("pixelwise-palette", { detail: settings.palette }));
}

function setSplit(split) {
  settings.split = split;
  root.style.setProperty("--pw-split", split);
  const divider = find(".pw-divider");
  divider.setAttribute("aria-valuenow", String(Math.round(split * 100)));
  divider.setAttribute("aria-valuetext", Math.round(split * 100) + " % photo");
}
listenToDivider(find(".pw-divider"), stageBox, () => settings.split, setSplit);

const actions = {
  "zoom-in": () => stage.zoom(1.5),
  "zoom-out": () => stage.zoom(1 / 1.5),
  fit: () => stage.fit(),
  compare(button) {
    settings.compare = !settings.compare;
    root.dataset.compare = String(settings.compare);
    button.setAttribute("aria-pressed", String(settings.compare));
    for (const part of [".pw-divider", ".pw-before", ".pw-after"]) {
      find(part).hidden = !settings.compare;
    }
  },
  full: () => toggleFullScreen(root).then(showFullScreen),
};

function showFullScreen() {
  const on = document.fullscreenElement === root || root.classList.contains("pw-cover");
  find("[data-act=full]").setAttribute("aria-pressed", String(on));
}
document.addEventListener("fullscreenchange", showFullScreen);
root.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && root.classList.contains("pw-cover")) {
    toggleFullScreen(root).then(showFullScreen);
  }
});
for (const button of root.querySelectorAll("[data-act]")) {
  const action = actions[button.dataset.act];
  if (action) button.addEventListener("click", () => map && action(button));
}

// Saving.

async function save(what) {
  if (!map) return;
  const unsurePixels = countUnsure(map.counts, unsureLevel(settings.threshold));
  const rows = tableRows(map.areas, map.categories);
  const files = {
    picture: async () => {
      const edge = Math.round((settings.split * stage.width - stage.view.left) / stage.view.scale);
      const from = settings.compare ? Math.min(map.width, Math.max(0, edge)) : 0;
      const still = makeStyle(
        { ...settings, focus: -1 },
        colors(),
        hiddenIndices(),
        map.background,
      );
      return [await toPng(composePicture(map, stage.levels[0], still, from)), "picture.png"];
    },
    labels: async () => [
      await encodeIndexedPng(map.classes, map.height, map.width, colors()),
      "labels.png",
    ],
    csv: async () => [new Blob([toCsv(rows)], { type: "text/csv" }), "table.csv"],
    json: async () => {
      const text = toTableJson(shown, rows, { threshold: settings.threshold, unsurePixels });
      return [new Blob([text], { type: "application/json" }), "table.json"];
    },
  };
  try {
    const [blob, name] = await files[what]();
    download(blob, "pixelwise-" + name);
  } catch (error) {
    showVeil("error", "Not saved", error.message);
  }
}
listenToMenu(find(".pw-menu"), save);

// Values.

let progressMotion = null;

/** Cover the stage with what is happening or what went wrong; the last picture stays behind. */
function showVeil(kind, title, text, fraction = null) {
  const veil = find(".pw-veil");
  veil.hidden = false;
  veil.dataset.kind = kind;
  veil.setAttribute("role", kind === "error" ? "alert" : "status");
  find(".pw-veil-title").textContent = title;
  find(".pw-veil-text").textContent = text;
  find(".pw-dismiss").hidden = kind !== "error" || !map;
  find(".pw-empty").hidden = true;
  root.dataset.busy = "true";
  const bar = find(".pw-progress");
  bar.hidden = kind === "error";
  showProgress(bar, fraction);
}

function showProgress(bar, fraction) {
  const known = typeof fraction === "number";
  bar.style.setProperty("--pw-done", known ? Math.min(1, Math.max(0, fraction)) : 0.35);
  if (known) bar.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
  else bar.removeAttribute("aria-valuenow");
  const still = known || bar.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still) {
    progressMotion?.cancel();
    progressMotion = null;
  } else if (!progressMotion) {
    progressMotion = bar.firstElementChild.animate(
      [{ translate: "-35% 0" }, { translate: "100% 0" }],
      { duration: 1400, iterations: Infinity, easing: "ease-in-out" },
    );
  }
}

function hideVeil() {
  find(".pw-veil").hidden = true;
  find(".pw-empty").hidden = Boolean(map);
  root.dataset.busy = "false";
  progressMotion?.cancel();
  progressMotion = null;
}
find(".pw-dismiss").addEventListener("click", () => {
  hideVeil();
  stageBox.focus();
});

function showNothing() {
  loading?.abort();
  latest++;
  map = null;
  shown = null;
  stopLooking();
  removePin();
  stage.clear();
  root.dataset.state = "empty";
  hideVeil();
}

/** Keep what still makes sense with the new result: hidden classes by name, the pin by size. */
function carryOver(before, after) {
  const names = after.areas.map((area) => after.categories[area.index].raw);
  if (names.every((name) => hiddenNames.has(name))) {
    names.forEach((name) => hiddenNames.delete(name));
  }
  const fits = before && before.height === after.height && before.width === after.width;
  if (pin && !fits) removePin();
}

/** The result in one sentence, for the eye and for screen readers; a line breaks between classes. */
function describe() {
  const words = describeAreas(map.areas, map.categories, map.background);
  const parts = words.flatMap((text, i) => [i ? ", " : "", make("span", "", text)]);
  find(".pw-summary").replaceChildren(...parts);
}

function showResult(value, loaded) {
  carryOver(map, loaded.map);
  ({ map } = loaded);
  shown = value;
  hovered = -1;
  settings.focus = -1;
  root.dataset.state = "ready";
  stageBox.style.setProperty("--pw-aspect", map.width + " / " + map.height);
  find(".pw-own").textContent = value.palette || "VOC";
  find("[data-setting=background]").disabled = map.background < 0;
  describe();
  find(".pw-size").textContent = map.width + " × " + map.height;
  find(".pw-note").textContent = value.note || "";
  legend.fill(map.areas, map.categories);
  hideVeil();
  updateLegend();
  style = makeStyle(settings, colors(), hiddenIndices(), map.background);
  stage.show(map, loaded.bitmap);
  if (!pin && value.pinned) pin = value.pinned;
  placePin();
  if (pin) setPin(pin.y, pin.x);
}

/** Show a result, unless a newer one arrives while this one is fetched or decoded. */
async function load(value) {
  if (typeof value.seq === "number") {
    if (value.seq < newest) return;
    newest = value.seq;
  }
  loading?.abort();
  loading = new AbortController();
  const ticket = ++latest;
  const start = performance.now();
  try {
    const loaded = await loadValue(value, loading.signal);
    if (ticket !== latest) return;
    showResult(value, loaded);
    loadMs = performance.now() - start;
  } catch (error) {
    if (ticket === latest) showVeil("error", "The result could not be shown", error.message);
  }
}

function receive() {
  const value = props.value;
  if (!value) showNothing();
  else if (value.status === "working") {
    showVeil("working", "Working", value.text || "", value.fraction ?? null);
  } else if (value.status === "error") {
    showVeil("error", "That did not work", value.text || "");
  } else load(value);
}

find(".pw-empty-title").textContent = props.empty_title;
find(".pw-empty-text").textContent = props.empty_text;
stageBox.setAttribute(
  "aria-description",
  "Enter pins the pixel in the middle, arrow keys move the pin by one pixel, with Shift by ten, " +
    "Escape removes it. Plus and minus zoom, 0 shows the whole photo.",
);
dock.replaceChildren(hintLine);
/** For tests and the curious: the decoded map and the settings, read-only by convention. */
root.pixelwise = {
  get map() {
    return map;
  },
  get view() {
    return stage.view;
  },
  get pin() {
    return pin;
  },
  get loadMs() {
    return loadMs;
  },
  get hidden() {
    return [...hiddenNames];
  },
  settings,
  stage,
};
watch("value", receive);
receive();
