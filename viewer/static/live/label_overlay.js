// A camera's label map: colours over the video, and the legend of the classes in it.

import { make } from "../shared/elements.js";
import { completeCategories, packColor, parseHex } from "../shared/palette.js";
import { percent } from "../shared/statistics.js";

const MIN_SHARE = 0.002;
const LEGEND_MS = 400;

/**
 * Return the share of each class that is present, largest first, without background.
 * @param {Uint8Array} classes
 * @param {number} background index, or -1
 * @returns {{index: number, share: number}[]}
 */
export function classShares(classes, background) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < classes.length; i++) counts[classes[i]]++;
  return [...counts]
    .map((count, index) => ({ index, share: count / classes.length }))
    .filter(({ index, share }) => index !== background && share >= MIN_SHARE)
    .sort((a, b) => b.share - a.share);
}

/** Paints label maps and updates the legend. */
export class Overlay {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} list
   */
  constructor(canvas, list) {
    this.canvas = canvas;
    this.list = list;
    this.opacity = 0.6;
    this.palette = "voc";
    this.categories = [];
    this.background = -1;
    this.map = null;
    this.listed = 0;
  }

  /** Switch to another model's classes. */
  use({ categories, background }) {
    this.categories = categories;
    this.background = background;
    this.clear();
  }

  clear() {
    this.map = null;
    this.canvas.width = this.canvas.width; // clears it
    this.list.replaceChildren();
  }

  /** Show a label map, or repaint the last one after a change of settings. */
  paint(map = this.map) {
    if (!map) return;
    const isNew = map !== this.map;
    this.map = map;
    if (this.canvas.width !== map.width) this.canvas.width = map.width;
    if (this.canvas.height !== map.height) this.canvas.height = map.height;
    const colors = this.colors();
    const image = new ImageData(map.width, map.height);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < out.length; i++) out[i] = colors[map.classes[i]];
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    const now = performance.now();
    if (isNew && now - this.listed < LEGEND_MS) return; // updated slowly enough to read
    this.listed = now;
    this.fill(classShares(map.classes, this.background));
  }

  colors() {
    const table = new Uint32Array(256);
    for (const category of this.categories) {
      if (category.index === this.background) continue;
      table[category.index] = packColor(parseHex(category[this.palette]), this.opacity);
    }
    return table;
  }

  fill(shares) {
    const categories = completeCategories(this.categories);
    const rows = shares.map(({ index, share }) => {
      const category = categories[index];
      const row = make("li", "lv-row");
      const swatch = make("span", "lv-swatch");
      swatch.setAttribute("aria-hidden", "true");
      swatch.style.setProperty("--lv-color", category[this.palette]);
      row.append(swatch, make("span", "lv-name", category.name));
      row.append(make("span", "lv-share", percent(share)));
      return row;
    });
    if (!rows.length) rows.push(make("li", "lv-none", "None of the model’s classes."));
    this.list.replaceChildren(...rows);
  }
}
