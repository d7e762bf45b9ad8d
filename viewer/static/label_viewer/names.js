// Names on the picture: each large region carries its class's name where there is most room.

import { make } from "../shared/elements.js";
import { capital } from "../shared/statistics.js";
import { makeScreen, sampleScreen } from "./sampling.js";

const CELL = 3; // CSS pixels: how finely the room in a region is measured
const MOST = 12;
const LEAST_AREA = 900; // CSS pixels; smaller regions carry no name
const SMALLEST_FONT = 12;
const LARGEST_FONT = 22;
const FONT_PART = 0.09; // of the side of a square as large as the region
const MARGIN = 3; // CSS pixels that stay free around a name
const WAIT_MS = 140;
const SAVED_SIDE = 900; // names in a saved picture are as large as on a screen of this size
const FONT_WEIGHT = 700;
const HALO = "#0f172a";

/** What a name says and looks like at a font size, for canvases and for measuring. */
function fontOf(size, family) {
  return FONT_WEIGHT + " " + size + "px " + family;
}

/**
 * A coarse copy of the screen: which region, specks counted to the one around them, lies under
 * the middle of each cell; 0 outside the photo.
 */
function makeGrid({ height, width, regions }, owners, cell) {
  const rows = Math.floor(height / cell);
  const columns = Math.floor(width / cell);
  const ids = new Uint32Array(rows * columns);
  const half = cell >> 1;
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, to++) {
      const id = regions[(y * cell + half) * width + x * cell + half];
      ids[to] = id && owners[id - 1] + 1;
    }
  }
  return { rows, columns, ids };
}

/**
 * How far each cell is from the next other region or the stage's edge, in cells: two sweeps of a
 * chamfer distance with steps of 1 and 1.4, within 8 % of the true distance (Borgefors 1986).
 */
export function measureRoom({ rows, columns, ids }) {
  const room = new Float32Array(rows * columns);
  const sweep = (from, to, step, before) => {
    for (let y = from; y !== to; y += step) {
      for (let k = 0; k < columns; k++) {
        const x = step > 0 ? k : columns - 1 - k;
        const at = y * columns + x;
        let least = before ? 1e9 : room[at];
        const look = (ny, nx, far) => {
          const inside = ny >= 0 && nx >= 0 && ny < rows && nx < columns;
          const to = ny * columns + nx;
          least = Math.min(least, inside && ids[to] === ids[at] ? room[to] + far : 1);
        };
        look(y, x - step, 1);
        look(y - step, x, 1);
        look(y - step, x - step, 1.4);
        look(y - step, x + step, 1.4);
        room[at] = least;
      }
    }
  };
  sweep(0, rows, 1, true);
  sweep(rows - 1, -1, -1, false);
  return room;
}

/** The regions that may carry a name, largest first: id, cells, and their box of cells. */
function largeRegions({ rows, columns, ids }, least) {
  const found = new Map();
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, at++) {
      const id = ids[at];
      if (!id) continue;
      let one = found.get(id);
      if (!one) found.set(id, (one = { id, cells: 0, top: y, left: x, bottom: y, right: x }));
      one.cells++;
      one.bottom = y;
      if (x < one.left) one.left = x;
      if (x > one.right) one.right = x;
    }
  }
  return [...found.values()].filter((one) => one.cells >= least).sort((a, b) => b.cells - a.cells);
}

/** Sums over all rectangles that begin at the box's corner, to count a region's cells in any. */
function sumUp({ ids, columns }, { id, top, left, bottom, right }) {
  const wide = right - left + 2;
  const sums = new Uint32Array((bottom - top + 2) * wide);
  for (let y = top; y <= bottom; y++) {
    let row = 0;
    for (let x = left; x <= right; x++) {
      row += ids[y * columns + x] === id ? 1 : 0;
      const at = (y - top + 1) * wide + x - left + 1;
      sums[at] = sums[at - wide] + row;
    }
  }
  return { sums, wide };
}

/**
 * The middle of the rectangle that lies wholly in the region and has most room at its middle.
 * @returns {{y: number, x: number} | null} in cells; null where none lies in the region
 */
function bestPlace(grid, room, region, high, across) {
  const { sums, wide } = sumUp(grid, region);
  let best = null;
  let most = 0;
  for (let y = 0; y + high <= region.bottom - region.top + 1; y++) {
    for (let x = 0; x + across <= region.right - region.left + 1; x++) {
      const at = y * wide + x;
      const below = at + high * wide;
      const inside = sums[below + across] - sums[below] - sums[at + across] + sums[at];
      if (inside < high * across) continue;
      const middleY = region.top + y + (high >> 1);
      const middleX = region.left + x + (across >> 1);
      const here = room[middleY * grid.columns + middleX];
      if (here <= most) continue;
      most = here;
      best = { y: region.top + y + high / 2, x: region.left + x + across / 2 };
    }
  }
  return best;
}

/**
 * Where the names go. A name lies wholly inside its region, so no two can overlap.
 * @param {object} screen from sampleScreen
 * @param {{regions: object, owners: Uint32Array, background: number, categories: object[]}} map
 * @param {Set<number>} hidden classes without a name
 * @param {number} ratio canvas pixels for a CSS pixel
 * @param {(text: string, size: number) => number} measure a text's width in CSS pixels
 * @returns {{text: string, index: number, y: number, x: number, size: number}[]} middle and font
 *   size in CSS pixels of the stage, the largest region's first
 */
export function placeNames(screen, map, hidden, ratio, measure) {
  const cell = Math.max(1, Math.round(CELL * ratio));
  const side = cell / ratio; // in CSS pixels
  const grid = makeGrid(screen, map.owners, cell);
  const room = measureRoom(grid);
  const placed = [];
  for (const region of largeRegions(grid, LEAST_AREA / side ** 2)) {
    if (placed.length === MOST) break;
    const index = map.regions.classes[region.id - 1];
    if (index === map.background || hidden.has(index)) continue;
    const text = capital(map.categories[index].name);
    const wanted = Math.sqrt(region.cells) * side * FONT_PART;
    for (let size = Math.min(LARGEST_FONT, Math.max(SMALLEST_FONT, wanted)); ; ) {
      const across = Math.ceil((measure(text, size) + 2 * MARGIN) / side);
      const high = Math.ceil((1.2 * size + 2 * MARGIN) / side);
      const place = bestPlace(grid, room, region, high, across);
      if (place) placed.push({ text, index, y: place.y * side, x: place.x * side, size });
      if (place || size <= SMALLEST_FONT) break;
      size = Math.max(SMALLEST_FONT, size - 3);
    }
  }
  return placed;
}

/** Draws names into a canvas as they are seen on the stage. */
export function drawNames(context, names, scale, family) {
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  for (const { text, y, x, size } of names) {
    context.font = fontOf(size * scale, family);
    context.strokeStyle = HALO;
    context.lineWidth = size * scale * 0.22;
    context.strokeText(text, x * scale, y * scale);
    context.fillStyle = "#ffffff";
    context.fillText(text, x * scale, y * scale);
  }
}

/** The names over the stage. They follow every move, and find new places when it has ended. */
export class Names {
  /**
   * @param {HTMLElement} box lies over the stage
   * @param {import("./canvas.js").Stage} stage
   * @param {() => Set<number> | null} hidden the classes without a name, null for no names at all
   */
  constructor(box, stage, hidden) {
    this.box = box;
    this.stage = stage;
    this.hidden = hidden;
    this.placed = [];
    this.timer = 0;
    this.context = document.createElement("canvas").getContext("2d");
  }

  get family() {
    return getComputedStyle(this.box).fontFamily;
  }

  measure(family) {
    return (text, size) => {
      this.context.font = fontOf(size, family);
      return this.context.measureText(text).width;
    };
  }

  /** Take the names off, until `find`. */
  clear() {
    this.placed = [];
    this.box.replaceChildren();
  }

  /** Follow the view, and look for better places once it stays. */
  follow() {
    this.move();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.find(), WAIT_MS);
  }

  move() {
    const { scale, top, left } = this.stage.view;
    for (const { span, row, column } of this.placed) {
      span.style.transform =
        "translate(" + (column * scale + left) + "px, " + (row * scale + top) + "px)";
    }
  }

  /** Find the names' places on the screen as it is now. */
  find() {
    clearTimeout(this.timer);
    this.clear();
    const { map, screen, ratio, view } = this.stage;
    const hidden = this.hidden();
    if (!map || !screen || !hidden) return;
    const names = placeNames(screen, map, hidden, ratio, this.measure(this.family));
    this.placed = names.map(({ text, y, x, size }) => {
      const span = make("span", "pw-name-here");
      span.append(make("span", "", text));
      span.style.fontSize = size + "px";
      const [row, column] = [(y - view.top) / view.scale, (x - view.left) / view.scale];
      return { text, span, row, column };
    });
    this.box.replaceChildren(...this.placed.map(({ span }) => span));
    this.move();
  }

  /**
   * Draw the names into a picture of the whole photo.
   * @param {CanvasRenderingContext2D} context
   * @param {number} from column where the labels begin
   */
  draw(context, map, from) {
    const hidden = this.hidden();
    if (!hidden) return;
    const scale = Math.min(1, SAVED_SIDE / Math.max(map.height, map.width));
    const screen = makeScreen(Math.round(map.height * scale), Math.round(map.width * scale));
    sampleScreen(screen, map, { scale, top: 0, left: 0 });
    const { family } = this;
    const names = placeNames(screen, map, hidden, 1, this.measure(family));
    const measure = this.measure(family);
    const seen = ({ text, x, size }) => x - measure(text, size) / 2 >= from * scale;
    drawNames(context, names.filter(seen), 1 / scale, family);
  }
}
