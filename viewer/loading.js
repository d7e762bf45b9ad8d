// From a value to a picture in memory: fetch, decode, measure.

import { countLevels, measureAreas } from "./measure.js";
import { backgroundIndex, completeCategories } from "./palette.js";
import { decodeLabelPng, nextTask } from "./png.js";
import { findRegions } from "./regions.js";

/** Fetch bytes, or say in words which file did not come. */
async function fetchFile(file, what, signal) {
  const response = await fetch(file.url || file, { signal });
  if (!response.ok) {
    throw new Error("The " + what + " did not arrive (" + response.status + "). Run it again.");
  }
  return response.blob();
}

/**
 * Fetch and decode everything a value points to.
 * @param {object} value photo, labels, height, width, categories (see viewer/payload.py)
 * @param {AbortSignal} signal
 * @returns {Promise<{map: object, bitmap: ImageBitmap}>} map: the three planes, regions, areas,
 *   counts, categories and the background's index
 */
export async function loadValue(value, signal) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error(
      "This browser is too old to read the label map (Chrome 80, Firefox 113, Safari 16.4 can).",
    );
  }
  const photo = fetchFile(value.photo, "photo", signal).then((blob) => createImageBitmap(blob));
  // Awaited below; named here so that a failed label map does not leave it unhandled.
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
  map.categories = completeCategories(value.categories);
  map.background = backgroundIndex(map.categories);
  return { map, bitmap: await photo };
}
