// The picture itself: three canvases (photo, labels, outline) that share one view.
//
// Everything is drawn at the screen's resolution, never at the photo's. A photo of 12 megapixels
// therefore costs no more than one of 1: it is drawn from copies halved in size, its labels are
// sampled (sampling.js), and what the pointer reads comes from the full-size map all the same.

import { paintLabels, paintOutline } from "./renderer.js";
import { findEdges, makeScreen, sampleScreen } from "./sampling.js";
import { clampView, fitView, pixelAt, stagePoint, zoomView } from "./viewport.js";

const CANVAS_BUDGET = 2.6e6;
const DRAW_OUTLINE = 1;
const DRAW_LABELS = 2;
const DRAW_VIEW = 3;

/**
 * Halved copies of a large photo, so that drawing it small reads few pixels.
 * @param {ImageBitmap} bitmap
 * @returns {CanvasImageSource[]} full size first
 */
export function makeLevels(bitmap) {
  const levels = [bitmap];
  let { height, width } = bitmap;
  while (height * width > 1.5e6) {
    height = Math.max(1, Math.round(height / 2));
    width = Math.max(1, Math.round(width / 2));
    const canvas = document.createElement("canvas");
    canvas.height = height;
    canvas.width = width;
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(levels.at(-1), 0, 0, width, height);
    levels.push(canvas);
  }
  return levels;
}

/**
 * Draws the photo and its labels, and nothing else: it owns no settings.
 *
 * The first change of a frame is painted at once, in the event's own task, so that it is on screen
 * with the very next frame; further changes of the same frame wait for its animation callback.
 */
export class Stage {
  /**
   * @param {HTMLElement} box the stage, holding the three canvases
   * @param {() => {style: object, outline: number}} look the present tables and region
   * @param {() => void} onView called after the view has changed
   */
  constructor(box, look, onView) {
    this.box = box;
    this.look = look;
    this.onView = onView;
    this.canvases = ["photo", "labels", "outline"].map((name) => box.querySelector(".pw-" + name));
    // Kept in main memory: every repaint is a copy of a small array, never a read-back.
    const onProcessor = { willReadFrequently: true };
    this.photoContext = this.canvases[0].getContext("2d");
    this.labelContext = this.canvases[1].getContext("2d", onProcessor);
    this.outlineContext = this.canvases[2].getContext("2d", onProcessor);
    this.map = null;
    this.levels = [];
    this.view = { scale: 1, top: 0, left: 0 };
    this.height = 0;
    this.width = 0;
    this.ratio = 1;
    this.waiting = 0;
    this.frame = 0;
    this.outlined = null;
    this.sampled = false;
    new ResizeObserver(() => this.resize()).observe(box);
  }

  /** Show another photo; the view is kept when the new one has the same size. */
  show(map, bitmap) {
    const same = this.map && this.map.height === map.height && this.map.width === map.width;
    this.map = map;
    this.levels = makeLevels(bitmap);
    this.resize(!same);
  }

  /** Forget the photo. */
  clear() {
    this.map = null;
    this.levels = [];
    this.canvases.forEach((canvas) => {
      canvas.width = canvas.width;
    });
  }

  /** The scale at which the whole photo is seen. */
  get fitScale() {
    return fitView(this.map.height, this.map.width, this.height, this.width).scale;
  }

  /** Whether the whole photo is seen. */
  get isWhole() {
    return this.view.scale <= this.fitScale * 1.001;
  }

  /** Follow the stage's size; a view that showed the whole photo goes on doing so. */
  resize(refit = false) {
    // Read once here: asking the page for it while something moves would cost a layout each time.
    const height = (this.height = this.box.clientHeight);
    const width = (this.width = this.box.clientWidth);
    if (!this.map || !height || !width) return;
    const before = this.lastFit;
    const wasFit = refit || !before || this.view.scale <= before * 1.001;
    const fits = Math.sqrt(CANVAS_BUDGET / (height * width));
    this.ratio = Math.min(window.devicePixelRatio || 1, Math.max(1, fits));
    const rows = Math.round(height * this.ratio);
    const columns = Math.round(width * this.ratio);
    for (const canvas of this.canvases) {
      if (canvas.height !== rows) canvas.height = rows;
      if (canvas.width !== columns) canvas.width = columns;
    }
    if (!this.pixels || this.pixels.height !== rows || this.pixels.width !== columns) {
      this.pixels = new ImageData(columns, rows);
      this.packed = new Uint32Array(this.pixels.data.buffer);
    }
    this.screen = makeScreen(rows, columns, this.screen);
    this.lastFit = this.fitScale;
    this.setView(wasFit ? fitView(this.map.height, this.map.width, height, width) : this.view);
  }

  /** Move to a view, within its limits. */
  setView(view) {
    if (!this.map) return;
    this.view = clampView(view, this.map.height, this.map.width, this.height, this.width);
    this.request(DRAW_VIEW);
    this.onView();
  }

  /**
   * Magnify around a point of the stage, its middle unless given; a pinch also shifts, in the same
   * step, because at the limits a shift alone would be undone.
   */
  zoom(factor, y = this.height / 2, x = this.width / 2, down = 0, right = 0) {
    if (!this.map) return;
    const { view } = this;
    // The limits are applied to the factor first, so that the point stays where it is.
    const { scale } = clampView(
      { ...view, scale: view.scale * factor },
      this.map.height,
      this.map.width,
      this.height,
      this.width,
    );
    const shifted = { scale: view.scale, top: view.top + down, left: view.left + right };
    this.setView(zoomView(shifted, scale / view.scale, y, x));
  }

  /** Shift by CSS pixels. */
  pan(down, right) {
    this.setView({
      scale: this.view.scale,
      top: this.view.top + down,
      left: this.view.left + right,
    });
  }

  /** Show the whole photo. */
  fit() {
    if (this.map) this.setView({ scale: this.fitScale, top: 0, left: 0 });
  }

  /** The photo's pixel under a point of the stage, or null. */
  pixelAt(y, x) {
    return this.map && pixelAt(this.view, y, x, this.map.height, this.map.width);
  }

  /** The middle of a photo's pixel on the stage. */
  pointOf({ y, x }) {
    return stagePoint(this.view, y, x);
  }

  labelsChanged() {
    this.request(DRAW_LABELS);
  }

  outlineChanged() {
    this.request(DRAW_OUTLINE);
  }

  /** Paint now if this frame has not been painted yet, else with its animation callback. */
  request(level) {
    this.waiting = Math.max(this.waiting, level);
    if (this.frame) return;
    this.draw();
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.waiting) this.draw();
    });
  }

  draw() {
    const level = this.waiting;
    this.waiting = 0;
    if (!this.map || !this.screen) return;
    const { style, outline } = this.look();
    if (level >= DRAW_VIEW) {
      this.drawPhoto();
      const { ratio, view } = this;
      sampleScreen(this.screen, this.map, {
        scale: view.scale * ratio,
        top: view.top * ratio,
        left: view.left * ratio,
      });
      this.linesFound = null;
    }
    if (level >= DRAW_LABELS) this.drawLabels(style);
    this.drawOutline(outline, level >= DRAW_VIEW);
  }

  drawPhoto() {
    const { photoContext: context, view, ratio, map } = this;
    const [canvas] = this.canvases;
    const shown = view.scale * ratio;
    let level = 0;
    while (level + 1 < this.levels.length && shown * 2 ** (level + 1) <= 1) level++;
    context.imageSmoothingEnabled = true;
    // Two neighbours are enough down to half the size, and several times faster than more.
    context.imageSmoothingQuality = shown * 2 ** level < 0.5 ? "medium" : "low";
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(
      this.levels[level],
      view.left * ratio,
      view.top * ratio,
      map.width * shown,
      map.height * shown,
    );
  }

  drawLabels(style) {
    this.findLines(style);
    paintLabels(this.packed, this.screen, style, Math.max(2, Math.round(5 * this.ratio)));
    this.labelContext.putImageData(this.pixels, 0, 0);
  }

  /** Lines stay where they are until the view or what is drawn at all changes. */
  findLines({ contour, band, groups, lines }) {
    if (!contour || lines === this.linesFound) return;
    findEdges(this.screen, Math.max(1, Math.round(this.ratio)), groups, band);
    this.linesFound = lines;
  }

  /** Only the boxes of the old and the new region are touched. */
  drawOutline(region, viewChanged) {
    if (!viewChanged && region === this.outlined?.region) return;
    const context = this.outlineContext;
    if (this.outlined) {
      const { top, left, bottom, right } = this.outlined.box;
      if (viewChanged) context.clearRect(0, 0, context.canvas.width, context.canvas.height);
      else context.clearRect(left, top, right - left, bottom - top);
      this.outlined = null;
    }
    if (region < 0) return;
    const reach = Math.max(2, Math.round(2 * this.ratio));
    const box = this.regionBox(region, reach);
    if (!box) return;
    const pixels = context.createImageData(box.right - box.left, box.bottom - box.top);
    paintOutline(new Uint32Array(pixels.data.buffer), this.screen, region, box, reach);
    context.putImageData(pixels, box.left, box.top);
    this.outlined = { region, box };
  }

  /** A region's box on the canvas with room for its outline, or null when it is out of sight. */
  regionBox(region, reach) {
    const [top, left, bottom, right] = this.map.regions.boxes.subarray(region * 4, region * 4 + 4);
    const { view, ratio, screen } = this;
    const scale = view.scale * ratio;
    const box = {
      top: Math.max(0, Math.floor(top * scale + view.top * ratio) - reach),
      left: Math.max(0, Math.floor(left * scale + view.left * ratio) - reach),
      bottom: Math.min(screen.height, Math.ceil(bottom * scale + view.top * ratio) + reach),
      right: Math.min(screen.width, Math.ceil(right * scale + view.left * ratio) + reach),
    };
    return box.bottom > box.top && box.right > box.left ? box : null;
  }
}
