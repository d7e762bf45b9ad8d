// From sampled labels to pixels: fill, contour, hatch, and the outline of a region.
//
// Everything is a table look-up for each canvas pixel, in plain JavaScript: no graphics driver, no
// texture limit, no lost context, and the saved picture is painted by the very same code.

import { packColor } from "../shared/palette.js";
import { CODES, NO_GROUP, OUTSIDE, SPECK } from "./sampling.js";

const HATCH_LIGHT = [255, 255, 255];
const HATCH_DARK = [30, 41, 59];
const DIM = [2, 6, 23];
const FADED = 0.25;
/** Viridis by van der Walt and Smith (2015) at nine equal steps: lightness grows evenly. */
const SURE_SCALE = [
  [68, 1, 84],
  [71, 45, 123],
  [59, 82, 139],
  [44, 114, 142],
  [33, 145, 140],
  [40, 174, 128],
  [94, 201, 98],
  [173, 220, 48],
  [253, 231, 37],
];
const MIST = [241, 245, 249];
const MIST_SHARE = 0.65;
const LINE_LIGHT = [255, 255, 255];
const LINE_DARK = [15, 23, 42];
/** How much of its class's fill a speck of background inside a class gets. */
const SPECK_PART = 0.5;

/** Contours stay readable where fills are faint: 0 stays 0, 1 stays 1, the middle is lifted. */
export function contourAlpha(opacity) {
  return 1 - (1 - opacity) ** 3;
}

/** The first confidence level (0 to 255) that is not below a threshold in percent. */
export function unsureLevel(percent) {
  return Math.max(0, Math.ceil((percent * 255) / 100 - 1e-9));
}

/**
 * Look-up tables for the present settings.
 * @param {{show: string, opacity: number, mode: string, background: string, threshold: number,
 *   mark: boolean, focus: number}} settings show: "labels", or "sure" for the confidence; threshold
 *   in percent, 0 leaves what is unsure to the map's sets; mark: show what is unsure; focus is a
 *   class to bring out, or -1
 * @param {number[][]} colors 256 times [red, green, blue]
 * @param {Set<number>} hidden class indices that are switched off
 * @param {number} background index of the background class, or -1
 * @returns {object} tables over what a screen's classes hold (CODES long): fill, edge (the strip
 *   along a line), light and dark (its sides), mist (what fills pixels that may be two classes or
 *   more, or null), unsure (the level below which they are hatched), groups (see findEdges), shown
 *   (0 for what is hidden); sure: the colours of the levels of confidence, or null; hatch: two
 *   colours; contour: lines are drawn; band: with a strip; lines: tells styles apart that draw
 *   their lines at different places
 */
export function makeStyle(settings, colors, hidden, background) {
  const tables = {
    fill: new Uint32Array(CODES),
    edge: new Uint32Array(CODES),
    light: new Uint32Array(CODES),
    dark: new Uint32Array(CODES),
    mist: null,
    unsure: new Uint16Array(CODES),
    groups: new Uint16Array(CODES),
  };
  tables.groups[OUTSIDE] = NO_GROUP;
  const level = settings.mark ? unsureLevel(settings.threshold) : 0;
  if (settings.mark && level === 0) tables.mist = new Uint32Array(CODES);
  const line = contourAlpha(settings.opacity);
  for (let index = 0; index < 256; index++) {
    const strength = settings.focus >= 0 && settings.focus !== index ? FADED : 1;
    // The dark side of a line lies on whatever is outside, drawn or not.
    tables.dark[index] = packColor(LINE_DARK, line * strength);
    if (hidden.has(index)) continue;
    tables.unsure[index] = level;
    if (index === background) fillBackground(tables, settings, index, strength);
    else fillClass(tables, settings, index, colors[index], strength);
  }
  const shown = new Uint8Array(CODES).fill(1);
  shown[OUTSIDE] = 0;
  for (const index of hidden) shown[index] = shown[SPECK + index] = 0;
  return {
    ...tables,
    shown,
    sure: settings.show === "sure" ? makeSureTable(settings.opacity) : null,
    hatch: [packColor(HATCH_DARK, 0.62), packColor(HATCH_LIGHT, 0.8)],
    contour: settings.mode !== "fill",
    band: settings.mode === "contour",
    lines: [settings.mode, ...hidden].join(),
  };
}

/** The tables' entries of the background: nothing, or darkened. */
function fillBackground({ fill, mist }, settings, index, strength) {
  fill[index] = settings.background === "dimmed" ? packColor(DIM, 0.62) : 0;
  // A hovered background row has no colour of its own to show, so its area is darkened.
  if (settings.focus === index) {
    fill[index] = packColor(DIM, 0.62);
    fill.fill(packColor(DIM, 0.62), SPECK);
  }
  if (mist) mist[index] = fill[index] || packColor(MIST, 0.5 * settings.opacity * strength);
}

/** The tables' entries of a class, and of the specks of background inside it. */
function fillClass({ fill, edge, light, mist, groups, dark }, settings, index, rgb, strength) {
  const filled = settings.mode !== "contour" || settings.focus === index;
  const line = contourAlpha(settings.opacity) * strength;
  fill[index] = filled ? packColor(rgb, settings.opacity * strength) : 0;
  edge[index] = packColor(rgb, line);
  light[index] = packColor(LINE_LIGHT, line);
  if (mist) mist[index] = packColor(misty(rgb), 0.9 * settings.opacity * strength);
  groups[index] = index + 1;
  const speck = SPECK + index;
  fill[speck] ||= filled ? packColor(rgb, SPECK_PART * settings.opacity * strength) : 0;
  edge[speck] = edge[index];
  light[speck] = light[index];
  dark[speck] = dark[index];
  if (mist) mist[speck] = fill[speck];
  groups[speck] = groups[index];
}

/** The colour of a confidence from 0 to 1: dark violet is a guess, yellow is sure. */
export function sureColor(confidence) {
  const at = confidence * (SURE_SCALE.length - 1);
  const low = Math.min(SURE_SCALE.length - 2, Math.floor(at));
  return SURE_SCALE[low].map((v, i) => Math.round(v + (at - low) * (SURE_SCALE[low + 1][i] - v)));
}

/** Colours for the 256 levels of confidence. */
function makeSureTable(opacity) {
  const alpha = contourAlpha(opacity);
  return Uint32Array.from({ length: 256 }, (_, level) => packColor(sureColor(level / 255), alpha));
}

/** A class's colour, faint and light: what is unsure looks like its class through mist. */
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
  const { classes, edges } = screen;
  if (style.sure) paintSure(out, screen, style);
  else paintFills(out, screen, style, stripe, shift);
  if (!style.contour) return;
  const lines = [null, style.light, style.dark, style.edge];
  for (let i = 0; i < out.length; i++) if (edges[i]) out[i] = lines[edges[i]][classes[i]];
}

/** Paint how sure the model is, whatever the class. */
function paintSure(out, { classes, confidence }, { sure, shown }) {
  for (let i = 0; i < out.length; i++) out[i] = shown[classes[i]] ? sure[confidence[i]] : 0;
}

/** Paint the classes, and what is unsure about them. */
function paintFills(out, screen, style, stripe, shift) {
  const { height, width, classes, confidence, setSizes } = screen;
  const { fill, mist, unsure, hatch } = style;
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
  }
}

const OUTLINE_LIGHT = packColor([255, 255, 255], 1);
const OUTLINE_DARK = packColor([15, 23, 42], 0.85);

/**
 * Paint the outline of one region: a light line just inside, a dark one just outside, so that it
 * shows on any photo and any palette.
 * @param {Uint32Array} out packed pixels of the box only, row-major, cleared before
 * @param {object} screen from sampleScreen
 * @param {number} id the region
 * @param {{top: number, left: number, bottom: number, right: number}} box in canvas pixels
 * @param {number} reach line width in canvas pixels
 */
export function paintOutline(out, screen, id, box, reach) {
  const { width, regions } = screen;
  const { top, left, bottom, right } = box;
  const wanted = id + 1;
  const boxWidth = right - left;
  // Compared in pairs, first along the rows, then along the columns: where one of two is inside,
  // that one lies on the light line and the other on the dark one.
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
        const inside = regions[i] === wanted;
        if (inside === (regions[i + step] === wanted)) continue;
        out[at] = inside ? OUTLINE_LIGHT : OUTLINE_DARK;
        out[at + boxStep] = inside ? OUTLINE_DARK : OUTLINE_LIGHT;
      }
    }
  }
}
