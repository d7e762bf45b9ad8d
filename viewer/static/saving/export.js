// Saving: the picture as it is seen but at the photo's own size, what is cut out of it, and the
// files for programs.

import { paintLabels } from "../label_viewer/renderer.js";
import { findEdges, makeScreen, sampleScreen } from "../label_viewer/sampling.js";
import { encodeIndexedPng } from "../shared/png.js";
import { tableRows, toCsv } from "../shared/statistics.js";
import { toCoco } from "./coco.js";
import { cutOut } from "./cutout.js";
import { fileStem, toPng } from "./handing.js";

const STRIP_PIXELS = 1.5e6;
const FILE_NAMES = {
  picture: "labelled.png",
  cutout: "cut-out.png",
  labels: "labels.png",
  coco: "coco.json",
  masks: "coco-masks.json",
  csv: "classes.csv",
  json: "classes.json",
};

/**
 * Paint photo and labels at the photo's full size, in strips so that 12 megapixels need no large
 * arrays beside the canvas itself.
 * @param {object} map the decoded label map
 * @param {CanvasImageSource} photo
 * @param {object} style from makeStyle
 * @param {number} from photo column where the labels begin (before/after swipe), 0 for everywhere
 * @param {import("../label_viewer/names.js").Names} names written on top
 * @returns {HTMLCanvasElement}
 */
export function composePicture(map, photo, style, from, names) {
  const { height, width } = map;
  const canvas = document.createElement("canvas");
  canvas.height = height;
  canvas.width = width;
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0, width, height);
  const size = Math.max(height, width);
  const reach = Math.max(1, Math.round(size / 1000));
  const stripe = Math.max(2, Math.round(size / 200));
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  const layer = document.createElement("canvas");
  layer.width = width;
  for (let y = 0; y < height; y += rows) {
    // A few rows more above and below let contours cross from strip to strip.
    const top = Math.max(0, y - 3 * reach);
    const bottom = Math.min(height, y + rows + 3 * reach);
    const kept = Math.min(rows, height - y);
    const screen = makeScreen(bottom - top, width);
    sampleScreen(screen, map, { scale: 1, top: -top, left: 0 });
    if (style.contour) findEdges(screen, reach, style.groups, style.band);
    const pixels = new ImageData(width, bottom - top);
    paintLabels(new Uint32Array(pixels.data.buffer), screen, style, stripe, top);
    layer.height = bottom - top;
    layer.getContext("2d").putImageData(pixels, 0, 0);
    const keptWidth = width - from;
    if (keptWidth <= 0) continue;
    context.drawImage(layer, from, y - top, keptWidth, kept, from, y, keptWidth, kept);
  }
  names.draw(context, map, from);
  if (from > 0 && from < width) {
    context.fillStyle = "#ffffff";
    context.fillRect(from - reach, 0, reach * 2, height);
  }
  return canvas;
}

/**
 * The table with the facts of its run, in the shape of the server's own JSON.
 * @param {object} value the viewer's value
 * @param {object[]} rows from tableRows
 * @param {{threshold: number, unsurePixels: number}} unsure threshold in percent
 */
export function toTableJson(value, rows, unsure) {
  const table = {
    model: value.model,
    device: value.device,
    height: value.height,
    width: value.width,
    seconds: value.seconds,
    classes: rows,
  };
  if (unsure.threshold > 0) {
    table.unsure = { below: unsure.threshold / 100, pixels: unsure.unsurePixels };
  }
  return JSON.stringify(table, null, 2) + "\n";
}

/**
 * Make one of the files that can be saved.
 * @param {"picture" | "cutout" | "labels" | "coco" | "masks" | "csv" | "json"} what
 * @param {{value: object, map: object, photo: CanvasImageSource, style: object, from: number,
 *   names: object, hidden: Set<number>, threshold: number, unsurePixels: number}} result
 * @returns {Promise<{blob: Blob, name: string}>} the name begins with the photo's
 */
export async function makeFile(what, result) {
  const { value, map, photo } = result;
  const rows = tableRows(map.areas, map.categories);
  const stem = fileStem(value.name);
  const text = (content, type) => new Blob([content], { type });
  const json = (content) => text(content, "application/json");
  const coco = (exact) => json(toCoco(value, map, value.name || "photo", exact));
  const drawn = (id) => isDrawn(map, result.hidden, id);
  const makers = {
    picture: () => toPng(composePicture(map, photo, result.style, result.from, result.names)),
    cutout: () => toPng(cutOut(map, photo, drawn, "none")),
    labels: () => encodeIndexedPng(map.classes, map.height, map.width, map.colors.voc),
    coco: () => coco(false),
    masks: () => coco(true),
    csv: () => text(toCsv(rows), "text/csv"),
    json: () => json(toTableJson(value, rows, result)),
  };
  return { blob: await makers[what](), name: stem + "-" + FILE_NAMES[what] };
}

/** Whether a region is part of a thing that is shown, as its specks are. */
function isDrawn({ regions, owners, background }, hidden, id) {
  const index = regions.classes[owners[id]];
  return index !== background && !hidden.has(index);
}
