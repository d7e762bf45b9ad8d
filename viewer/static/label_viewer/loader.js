// Load a value: fetch, decode and measure it, and show only the newest.

import { backgroundIndex, completeCategories, paletteColors } from "../shared/palette.js";
import { decodeLabelPng, nextTask } from "../shared/png.js";
import { findRegions } from "../shared/regions.js";
import { countLevels, countSeveral, measureAreas } from "../shared/statistics.js";

/** Fetch a file as a Blob, or throw an error that names it. */
async function fetchFile(file, name, signal) {
  const response = await fetch(file.url || file, { signal });
  if (!response.ok) {
    throw new Error("The " + name + " did not arrive (" + response.status + "). Run it again.");
  }
  return response.blob();
}

/**
 * Fetch and decode everything a value points to.
 * @param {object} value photo, labels, height, width, categories (see viewer/payload.py)
 * @param {AbortSignal} signal
 * @returns {Promise<{map: object, bitmap: ImageBitmap}>} map: the three planes, regions, areas,
 *   counts, categories, colors and the background's index
 */
async function loadValue(value, signal) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error(
      "This browser is too old to read the label map (Chrome 80, Firefox 113, Safari 16.4 can).",
    );
  }
  const photo = fetchFile(value.photo, "photo", signal).then((blob) => createImageBitmap(blob));
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
    /** Milliseconds from the last result's value to its display. */
    this.milliseconds = 0;
  }

  /** Handle a value from Gradio: a result, a status, or null. */
  receive(value) {
    if (!value) {
      this.cancel?.abort();
      this.ticket++;
      this.act.clear();
    } else if (value.status === "working") {
      this.act.working(value.text || "", value.fraction ?? null);
    } else if (value.status === "error") {
      this.act.error(value.text || "");
    } else {
      this.load(value);
    }
  }

  async load(value) {
    if (typeof value.seq === "number") {
      if (value.seq < this.newest) return;
      this.newest = value.seq;
    }
    this.cancel?.abort();
    this.cancel = new AbortController();
    const ticket = ++this.ticket;
    const start = performance.now();
    try {
      const loaded = await loadValue(value, this.cancel.signal);
      if (ticket !== this.ticket) return;
      this.act.show(value, loaded);
      this.milliseconds = performance.now() - start;
    } catch (error) {
      if (ticket === this.ticket) this.act.failed(error.message);
    }
  }
}
