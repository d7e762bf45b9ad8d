// The photo's position on the stage: a scale and an offset, in CSS pixels.

const MAX_PIXEL_SIZE = 40;

/**
 * Return the view that shows the whole photo, centred.
 * @param {number} height the photo's
 * @param {number} width
 * @param {number} stageHeight in CSS pixels
 * @param {number} stageWidth
 * @returns {{scale: number, top: number, left: number}} screen = photo * scale + (left, top)
 */
export function fitView(height, width, stageHeight, stageWidth) {
  const scale = Math.min(stageHeight / height, stageWidth / width);
  return {
    scale,
    top: (stageHeight - height * scale) / 2,
    left: (stageWidth - width * scale) / 2,
  };
}

/**
 * Limit a view: no smaller than the whole photo, no gap beside a magnified one.
 * @param {{scale: number, top: number, left: number}} view
 */
export function clampView(view, height, width, stageHeight, stageWidth) {
  const fit = fitView(height, width, stageHeight, stageWidth);
  const largest = Math.max(MAX_PIXEL_SIZE, fit.scale);
  const scale = Math.min(largest, Math.max(fit.scale, view.scale));
  const clamp = (offset, size, room) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
  return {
    scale,
    top: clamp(view.top, height * scale, stageHeight),
    left: clamp(view.left, width * scale, stageWidth),
  };
}

/** Return a view magnified by a factor around the stage's point (y, x). */
export function zoomView(view, factor, y, x) {
  return {
    scale: view.scale * factor,
    top: y - (y - view.top) * factor,
    left: x - (x - view.left) * factor,
  };
}

/**
 * Return the photo's pixel at a point of the stage.
 * @returns {{y: number, x: number} | null} null outside the photo
 */
export function pixelAt(view, stageY, stageX, height, width) {
  const y = Math.floor((stageY - view.top) / view.scale);
  const x = Math.floor((stageX - view.left) / view.scale);
  return y >= 0 && x >= 0 && y < height && x < width ? { y, x } : null;
}

/** Return the centre of a photo's pixel on the stage. */
export function stagePoint(view, y, x) {
  return { y: (y + 0.5) * view.scale + view.top, x: (x + 0.5) * view.scale + view.left };
}

/**
 * @param {number} factor how much larger than the whole photo's view
 * @returns {string} as "1.5×"
 */
export function zoomInWords(factor) {
  return (factor < 10 ? factor.toFixed(1).replace(".0", "") : Math.round(factor)) + "×";
}
