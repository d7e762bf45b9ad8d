// Paint sampled labels: fill, contour, hatch, and the outline of a region.
//
// Each canvas pixel is a table look-up in plain JavaScript: no graphics driver, no texture limit,
// no lost context. Saved images are painted by the same code.

import { packColor } from "../shared/palette.js";

const HATCH_LIGHT = [255, 255, 255];
const HATCH_DARK = [30, 41, 59];
const DIM = [2, 6, 23];
const FADED = 0.25;
const MIST = [241, 245, 249];
const MIST_SHARE = 0.65;

/** Return the opacity of contours: that of fills, raised between 0 and 1 to stay readable. */
export function contourAlpha(opacity) {
  return 1 - (1 - opacity) ** 3;
}

/** Return the first confidence level (0 to 255) that is not below a threshold in percent. */
export function unsureLevel(percent) {
  return Math.max(0, Math.ceil((percent * 255) / 100 - 1e-9));
}

/**
 * Return the look-up tables for the current settings.
 * @param {{opacity: number, mode: string, background: string, threshold: number, mark: boolean,
 *   focus: number}} settings threshold in percent, or 0 to take unsure pixels from the map's sets;
 *   mark: show unsure pixels; focus: a class to emphasize, or -1
 * @param {number[][]} colors 256 times [red, green, blue]
 * @param {Set<number>} hidden class indices that are switched off
 * @param {number} background index of the background class, or -1
 * @returns {{fill: Uint32Array, edge: Uint32Array, mist: Uint32Array | null, unsure: Uint16Array,
 *   hatch: number[], contour: boolean}} tables of 257 (the last is outside the photo); mist:
 *   colours of pixels that may be two classes or more
 */
export function makeStyle(settings, colors, hidden, background) {
  const fill = new Uint32Array(257);
  const edge = new Uint32Array(257);
  const unsure = new Uint16Array(257);
  const level = settings.mark ? unsureLevel(settings.threshold) : 0;
  const mist = settings.mark && level === 0 ? new Uint32Array(257) : null;
  for (let index = 0; index < 256; index++) {
    if (hidden.has(index)) continue;
    const strength = settings.focus >= 0 && settings.focus !== index ? FADED : 1;
    const rgb = colors[index];
    unsure[index] = level;
    if (index === background) {
      fill[index] = settings.background === "dimmed" ? packColor(DIM, 0.62) : 0;
      // Background has no colour of its own, so it is darkened while its row is hovered.
      if (settings.focus === index) fill[index] = packColor(DIM, 0.62);
      edge[index] = fill[index];
      if (mist) mist[index] = fill[index] || packColor(MIST, 0.5 * settings.opacity * strength);
      continue;
    }
    const filled = settings.mode !== "contour" || settings.focus === index;
    fill[index] = filled ? packColor(rgb, settings.opacity * strength) : 0;
    edge[index] =
      settings.mode === "fill"
        ? fill[index]
        : packColor(rgb, contourAlpha(settings.opacity) * strength);
    if (mist) mist[index] = packColor(misty(rgb), 0.9 * settings.opacity * strength);
  }
  return {
    fill,
    edge,
    mist,
    unsure,
    hatch: [packColor(HATCH_DARK, 0.62), packColor(HATCH_LIGHT, 0.8)],
    contour: settings.mode !== "fill",
  };
}

/** Return a class's colour, faint and light, for unsure pixels. */
function misty(rgb) {
  return rgb.map((value, i) => Math.round(MIST_SHARE * MIST[i] + (1 - MIST_SHARE) * value));
}

/**
 * Paint the labels of a sampled screen.
 * @param {Uint32Array} out one packed pixel for each canvas pixel, rows [from, to) are written
 * @param {object} screen from sampleScreen, with edges found where style.contour is true
 * @param {ReturnType<typeof makeStyle>} style
 * @param {number} stripe width of a hatch stripe in canvas pixels
 * @param {number} shift added to the row number of the hatch, so that strips line up
 */
export function paintLabels(out, screen, style, stripe, shift = 0) {
  const { height, width, classes, confidence, setSizes, edges } = screen;
  const { fill, edge, mist, unsure, hatch, contour } = style;
  const stripes = new Uint32Array(width + height);
  for (let i = 0; i < stripes.length; i++) {
    stripes[i] = hatch[Math.floor((i + shift) / stripe) & 1];
  }
  const hatched = unsure.some((level) => level > 0);
  for (let y = 0; y < height; y++) {
    const first = y * width;
    const last = first + width;
    for (let i = first; i < last; i++) {
      out[i] = fill[classes[i]];
    }
    if (mist) {
      for (let i = first; i < last; i++) {
        if (setSizes[i] > 1) out[i] = mist[classes[i]];
      }
    }
    if (hatched) {
      for (let i = first; i < last; i++) {
        if (confidence[i] < unsure[classes[i]]) out[i] = stripes[y + i - first];
      }
    }
    if (contour) {
      for (let i = first; i < last; i++) {
        if (edges[i]) out[i] = edge[classes[i]];
      }
    }
  }
}

const OUTLINE_LIGHT = packColor([255, 255, 255], 1);
const OUTLINE_DARK = packColor([15, 23, 42], 0.85);

/**
 * Paint the outline of one region: a light line just inside, a dark one just outside, so that it
 * is visible on any photo and palette.
 * @param {Uint32Array} out packed pixels of the box only, row-major, cleared before
 * @param {object} screen from sampleScreen
 * @param {number} id the region
 * @param {{top: number, left: number, bottom: number, right: number}} box in canvas pixels
 * @param {number} reach line width in canvas pixels
 */
export function paintOutline(out, screen, id, box, reach) {
  const { width, regions } = screen;
  const { top, left, bottom, right } = box;
  const target = id + 1;
  const boxWidth = right - left;
  // Compare pairs of pixels, first along rows, then along columns: if one of the two is inside, it
  // is on the light line and the other on the dark one.
  for (const [down, across] of [
    [0, reach],
    [reach, 0],
  ]) {
    const step = down * width + across;
    const boxStep = down * boxWidth + across;
    for (let y = top; y < bottom - down; y++) {
      const stop = y * width + right - across;
      let at = (y - top) * boxWidth;
      for (let i = y * width + left; i < stop; i++, at++) {
        const inside = regions[i] === target;
        if (inside === (regions[i + step] === target)) continue;
        out[at] = inside ? OUTLINE_LIGHT : OUTLINE_DARK;
        out[at + boxStep] = inside ? OUTLINE_DARK : OUTLINE_LIGHT;
      }
    }
  }
}
