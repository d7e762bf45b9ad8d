// Load a value: fetch, decode and measure it, and show only the newest.

import { backgroundIndex, completeCategories, paletteColors } from "../shared/palette.js";
import { decodeLabelPng, nextTask } from "../shared/png.js";
import { findRegions } from "../shared/regions.js";
import { countLevels, countSeveral, measureAreas } from "../shared/statistics.js";

/** Names an event of the page, which whoever it concerns listens to. */
export const announce = (name, detail) =>
  globalThis.document?.dispatchEvent(new CustomEvent("pixelwise:" + name, { detail }));

/** The name of a photo's file, without folder and ending: what is saved of it is called so. */
const stemOf = (source = "") => source.split("/").at(-1).replace(/[.][a-z0-9]{1,5}$/i, "");

/** Fetch a file as a Blob, or throw an error that names it. */
async function fetchFile(file, name, signal) {
  const response = await fetch(file.url || file, { signal });
  if (!response.ok) {
    throw new Error("The " + name + " did not arrive (" + response.status + "). Run it again.");
  }
  return response.blob();
}

/** The photo was not sent back, and the browser has none of its size: it is asked for. */
class Unseen extends Error {}

async function ownCopy({ height, width }, local) {
  if (local?.height === height && local.width === width) return local;
  throw new Unseen("The photo cannot be shown. Run it again.");
}

/**
 * Fetch and decode everything a value points to.
 * @param {object} value photo, labels, height, width, categories (see viewer/payload.py)
 * @param {AbortSignal} signal
 * @param {ImageBitmap | undefined} local the browser's own copy of the photo, where it has one
 * @returns {Promise<{map: object, bitmap: ImageBitmap}>} map: the three planes, regions, areas,
 *   counts, categories, colors and the background's index
 */
async function loadValue(value, signal, local) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error(
      "This browser is too old to read the label map (Chrome 80, Firefox 113, Safari 16.4 can).",
    );
  }
  const photo = value.photo
    ? fetchFile(value.photo, "photo", signal).then((blob) => createImageBitmap(blob))
    : ownCopy(value, local);
  // Awaited below; handled here in case the label map fails first.
  photo.catch(() => {});
  const labels = await fetchFile(value.labels, "label map", signal);
  const map = await decodeLabelPng(new Uint8Array(await labels.arrayBuffer()));
  if (map.height !== value.height || map.width !== value.width) {
    throw new Error("Photo and label map have different sizes. Run it again.");
  }
  await nextTask();
  map.regions = findRegions(map.classes, map.height, map.width);
  map.counts = countLevels(map.classes, map.confidence);
  map.areas = measureAreas(map.counts);
  map.several = countSeveral(map.setSizes);
  map.categories = completeCategories(value.categories);
  map.colors = {
    voc: paletteColors(map.categories, "voc"),
    safe: paletteColors(map.categories, "safe"),
  };
  map.background = backgroundIndex(map.categories);
  return { map, bitmap: await photo };
}

/**
 * Handles incoming values: results are loaded, and an older one never replaces a newer one.
 *
 * A result is older if a later one was received while it was loading (`ticket`), or if its request
 * was earlier although the server sent it later (`value.seq`, if the server sets it).
 */
export class Loader {
  /**
   * @param {{show: (value: object, loaded: object) => void, clear: () => void,
   *   failed: (text: string) => void, working: (text: string, fraction: number | null) => void,
   *   error: (text: string) => void}} act
   */
  constructor(act) {
    this.act = act;
    this.ticket = 0;
    this.newest = -Infinity;
    this.cancel = null;
    this.local = new Map(); // source -> the browser's own copy of that photo
    this.ignored = new Set(); // sources of photos that were cancelled
    /** Milliseconds from the last result's value to its display. */
    this.milliseconds = 0;
  }

  /**
   * Keep the browser's own copy of a photo, so that it need not come back; the last two are kept.
   * @param {string} source names the photo, as the value will
   * @param {ImageBitmap} bitmap
   */
  keep(source, bitmap) {
    this.local.delete(source);
    this.local.set(source, bitmap);
    while (this.local.size > 2) this.local.delete(this.local.keys().next().value);
  }

  /** Accept results of a photo, even if it was cancelled before. */
  expect(source) {
    this.ignored.delete(source);
  }

  /** Ignore whatever arrives for a photo that was cancelled. */
  ignore(source) {
    this.ignored.add(source);
    this.cancel?.abort();
    this.ticket++;
  }

  /** Handle a value from Gradio: a result, a status, or null. */
  receive(value) {
    if (value?.source && this.ignored.has(value.source)) return;
    if (value?.labels) value = { name: stemOf(value.source), ...value };
    if (!value) {
      this.cancel?.abort();
      this.ticket++;
      this.act.clear();
    } else if (value.status === "working") {
      this.act.working(value.text || "", value.fraction ?? null);
    } else if (value.status === "error") {
      this.act.error(value.text || "");
      announce("refused", { source: value.source });
    } else {
      this.load(value);
    }
  }

  async load(value) {
    if (typeof value.seq === "number") {
      if (value.seq <= this.newest) return; // Gradio hands the last value over twice
      this.newest = value.seq;
    }
    this.cancel?.abort();
    this.cancel = new AbortController();
    const ticket = ++this.ticket;
    const start = performance.now();
    try {
      const loaded = await loadValue(value, this.cancel.signal, this.local.get(value.source));
      if (ticket !== this.ticket) return;
      this.act.show(value, loaded);
      this.milliseconds = performance.now() - start;
      announce("shown", { source: value.source, id: value.id });
    } catch (error) {
      if (ticket !== this.ticket) return;
      if (error instanceof Unseen) {
        announce("unseen", { source: value.source });
        return;
      }
      this.act.failed(error.message);
      announce("refused", { source: value.source });
    }
  }
}
