// Which pixels belong to what is cut out or written to a file.

/**
 * The pixels of some regions, in the box around them.
 * @param {{regions: object, height: number, width: number}} map
 * @param {(id: number) => boolean} keep which regions
 * @returns {{top: number, left: number, height: number, width: number, inside: Uint8Array}} inside:
 *   1 or 0, row-major over the box
 */
export function maskRegions(map, keep) {
  const { rowStart, ends, ids, boxes, count } = map.regions;
  const box = { top: map.height, left: map.width, bottom: 0, right: 0 };
  const kept = new Uint8Array(count);
  for (let id = 0; id < count; id++) {
    if (!keep(id)) continue;
    kept[id] = 1;
    box.top = Math.min(box.top, boxes[id * 4]);
    box.left = Math.min(box.left, boxes[id * 4 + 1]);
    box.bottom = Math.max(box.bottom, boxes[id * 4 + 2]);
    box.right = Math.max(box.right, boxes[id * 4 + 3]);
  }
  const height = Math.max(0, box.bottom - box.top);
  const width = Math.max(0, box.right - box.left);
  const inside = new Uint8Array(height * width);
  for (let y = box.top; y < box.bottom; y++) {
    let begin = 0;
    for (let run = rowStart[y]; run < rowStart[y + 1]; begin = ends[run++]) {
      if (!kept[ids[run]]) continue;
      const row = (y - box.top) * width - box.left;
      inside.fill(1, row + begin, row + ends[run]);
    }
  }
  return { top: box.top, left: box.left, height, width, inside };
}

/** One pass of the kernel 1 2 1 along a line of a picture; ends repeat themselves. */
function smoothLine(from, to, start, step, length) {
  for (let i = 0, at = start; i < length; i++, at += step) {
    const before = from[i ? at - step : at];
    const after = from[i < length - 1 ? at + step : at];
    to[at] = before + 2 * from[at] + after;
  }
}

/**
 * A mask with a soft edge: the steps become a slope of two pixels.
 * @param {ReturnType<typeof maskRegions>} mask
 * @param {number} height of the photo
 * @param {number} width
 * @returns {{top: number, left: number, height: number, width: number, alpha: Uint8Array}} alpha: 0
 *   to 255, in a box with a rim of a pixel where the photo has one
 */
export function softenMask(mask, height, width) {
  const top = Math.max(0, mask.top - 1);
  const left = Math.max(0, mask.left - 1);
  const rows = Math.min(height, mask.top + mask.height + 1) - top;
  const columns = Math.min(width, mask.left + mask.width + 1) - left;
  const first = new Uint8Array(rows * columns);
  for (let y = 0; y < mask.height; y++) {
    const row = mask.inside.subarray(y * mask.width, (y + 1) * mask.width);
    first.set(row, (y + mask.top - top) * columns + mask.left - left);
  }
  const across = new Uint8Array(rows * columns);
  for (let y = 0; y < rows; y++) smoothLine(first, across, y * columns, 1, columns);
  for (let x = 0; x < columns; x++) smoothLine(across, first, x, columns, rows);
  // 16 parts make the whole.
  const alpha = first.map((parts) => Math.round((parts * 255) / 16));
  return { top, left, height: rows, width: columns, alpha };
}
