// COCO's JSON: one annotation for each connected region, as polygons or as run lengths.

import { maskRegions } from "./mask.js";

/**
 * The outline of a connected region along its pixels' edges, the region on the right hand. What a
 * polygon encloses by the rule of pixel middles is the region with its holes filled.
 * @param {{top: number, left: number, height: number, width: number, inside: Uint8Array}} mask
 * @returns {number[]} x, y of each corner, as COCO has them
 */
export function traceOutline({ top, left, height, width, inside }) {
  const has = (y, x) => y >= 0 && x >= 0 && y < height && x < width && inside[y * width + x] === 1;
  const startX = inside.indexOf(1); // of the first row: the box begins with the region
  let [y, x, dy, dx] = [0, startX, 0, 1];
  const corners = [];
  do {
    // The two pixels ahead of this corner, on the left and on the right of the way.
    const right = has(y + (dy + dx - 1) / 2, x + (dx - dy - 1) / 2);
    const ahead = has(y + (dy - dx - 1) / 2, x + (dx + dy - 1) / 2);
    if (!right) {
      corners.push(left + x, top + y);
      [dy, dx] = [dx, -dy];
    } else if (ahead) {
      corners.push(left + x, top + y);
      [dy, dx] = [-dx, dy];
    }
    y += dy;
    x += dx;
  } while (y !== 0 || x !== startX);
  corners.push(left + startX, top);
  return corners;
}

/**
 * Run lengths down the columns: pixels outside, inside, outside ..., over the whole picture.
 * @param {ReturnType<typeof maskRegions>} mask
 * @param {number} height of the picture
 * @param {number} width
 */
export function countRuns(mask, height, width) {
  const counts = [];
  let last = 0;
  let value = 0;
  for (let x = 0; x < mask.width; x++) {
    for (let y = 0; y <= mask.height; y++) {
      // A row below the box ends each column's last run.
      const next = y < mask.height ? mask.inside[y * mask.width + x] : 0;
      if (next === value) continue;
      value = next;
      const at = (mask.left + x) * height + mask.top + y;
      // A run that goes on at the top of the next column has not ended.
      if (at === last && counts.length) last -= counts.pop();
      else last += counts[counts.push(at - last) - 1];
    }
  }
  if (last < height * width) counts.push(height * width - last);
  return counts;
}

/** Run lengths as COCO's compact string: differences, 5 bits a letter (rleToString, maskApi.c). */
export function packRuns(counts) {
  let text = "";
  for (let i = 0; i < counts.length; i++) {
    let rest = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    for (let more = true; more; ) {
      const bits = rest & 31;
      rest >>= 5;
      more = bits & 16 ? rest !== -1 : rest !== 0;
      text += String.fromCharCode((more ? bits | 32 : bits) + 48);
    }
  }
  return text;
}

/**
 * The annotations of a photo as COCO's JSON.
 * @param {object} value the viewer's value
 * @param {object} map
 * @param {string} photoName
 * @param {boolean} exact run lengths with every hole, else polygons
 */
export function toCoco(value, map, photoName, exact) {
  const { height, width, regions } = map;
  const annotations = [];
  for (let region = 0; region < regions.count; region++) {
    const category = regions.classes[region];
    if (category === map.background) continue;
    const mask = maskRegions(map, (id) => id === region);
    annotations.push({
      id: annotations.length + 1,
      image_id: 1,
      category_id: category,
      bbox: [mask.left, mask.top, mask.width, mask.height],
      area: regions.areas[region],
      iscrowd: 0,
      segmentation: exact
        ? { size: [height, width], counts: packRuns(countRuns(mask, height, width)) }
        : [traceOutline(mask)],
    });
  }
  const categories = value.categories
    .filter(({ index }) => index !== map.background)
    .map(({ index, raw, name }) => ({ id: index, name: raw || name, supercategory: "" }));
  const form = exact ? "exact run lengths" : "polygons along the pixels' edges, holes filled";
  const info = { description: "Connected regions as " + form + ".", version: "1.0" };
  const images = [{ id: 1, file_name: photoName, height, width }];
  return JSON.stringify({ info, images, annotations, categories }) + "\n";
}
