// Cut-outs: some regions of the photo with a soft edge, on nothing or on another background.

import { maskRegions, softenMask } from "./mask.js";

const BLUR_STEPS = 28; // the background keeps this many pixels along its longer side
const GREY = "#808080";

function makeCanvas(height, width) {
  const canvas = document.createElement("canvas");
  canvas.height = height;
  canvas.width = width;
  return canvas;
}

/** The chosen regions alone, the rest transparent, at the photo's size. */
function liftOut(map, photo, keep) {
  const canvas = makeCanvas(map.height, map.width);
  const context = canvas.getContext("2d");
  const { top, left, height, width, alpha } = softenMask(
    maskRegions(map, keep),
    map.height,
    map.width,
  );
  if (!height || !width) return canvas;
  const mask = new ImageData(width, height);
  for (let i = 0; i < alpha.length; i++) mask.data[i * 4 + 3] = alpha[i];
  const layer = makeCanvas(height, width);
  layer.getContext("2d").putImageData(mask, 0, 0);
  context.drawImage(photo, 0, 0, map.width, map.height);
  context.globalCompositeOperation = "destination-in";
  context.drawImage(layer, left, top);
  return canvas;
}

/** The photo far out of focus: shrunk to a few pixels and enlarged smoothly in two steps. */
function drawBlurred(context, photo, height, width) {
  const part = BLUR_STEPS / Math.max(height, width);
  let small = photo;
  for (const scale of [Math.min(1, 8 * part), part, Math.min(1, 3 * part)]) {
    const [rows, columns] = [height, width].map((side) => Math.max(1, Math.round(side * scale)));
    const next = makeCanvas(rows, columns);
    const into = next.getContext("2d");
    into.imageSmoothingQuality = "high";
    into.drawImage(small, 0, 0, columns, rows);
    small = next;
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, height);
}

/**
 * Cut regions out of the photo.
 * @param {object} map
 * @param {CanvasImageSource} photo
 * @param {(id: number) => boolean} keep which regions
 * @param {string} behind "none", "blurred", "grey", or a colour as "#rrggbb"
 * @returns {HTMLCanvasElement} at the photo's size
 */
export function cutOut(map, photo, keep, behind) {
  const { height, width } = map;
  const lifted = liftOut(map, photo, keep);
  if (behind === "none") return lifted;
  const canvas = makeCanvas(height, width);
  const context = canvas.getContext("2d");
  if (behind === "blurred") {
    drawBlurred(context, photo, height, width);
  } else if (behind === "grey") {
    context.drawImage(photo, 0, 0, width, height);
    context.globalCompositeOperation = "saturation";
    context.fillStyle = GREY;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "source-over";
  } else {
    context.fillStyle = behind;
    context.fillRect(0, 0, width, height);
  }
  context.drawImage(lifted, 0, 0);
  return canvas;
}
