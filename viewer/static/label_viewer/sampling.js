// The label map as the screen sees it: one class, confidence and region for each canvas pixel.
//
// Sampling happens when the view changes. Afterwards an opacity, toggle, threshold or hover
// change works on these small arrays only, which is why it costs the same on a 1- and a
// 12-megapixel photo. Labels are taken from the nearest pixel, never mixed.

/** What screen.classes holds outside the photo. */
export const OUTSIDE = 256;
/** SPECK + class: a speck of background wholly inside that class (see findSpecks). */
export const SPECK = 257;
/** How many different values screen.classes may hold. */
export const CODES = SPECK + 256;
/** The group of what lies outside the photo, see findEdges. */
export const NO_GROUP = 0xffff;
/** What screen.edges holds: the light side of a line, the dark side, a strip of colour. */
export const [LIGHT_LINE, DARK_LINE, COLOR_LINE] = [1, 2, 3];

/** Arrays for a canvas of this size, reused while the size stays. */
export function makeScreen(height, width, old) {
  if (old && old.height === height && old.width === width) return old;
  const n = height * width;
  return {
    height,
    width,
    classes: new Uint16Array(n),
    confidence: new Uint8Array(n),
    setSizes: new Uint8Array(n).fill(1),
    regions: new Uint32Array(n),
    edges: new Uint8Array(n),
    columns: new Int32Array(width),
  };
}

/** For each canvas column the photo's column under its middle, or -1 outside. */
function sampleColumns(columns, left, scale, width) {
  for (let i = 0; i < columns.length; i++) {
    const x = Math.floor((i + 0.5 - left) / scale);
    columns[i] = x >= 0 && x < width ? x : -1;
  }
}

/** Copy one photo row to one canvas row, walking along the row's runs for the region ids. */
function sampleRow(screen, map, at, y) {
  const { classes, confidence, setSizes, regions, columns, width } = screen;
  const row = y * map.width;
  const { ends, ids, rowStart } = map.regions;
  const { specks } = map;
  let run = rowStart[y];
  for (let i = 0; i < width; i++) {
    const x = columns[i];
    const to = at + i;
    if (x < 0) {
      classes[to] = OUTSIDE;
      setSizes[to] = 1;
      regions[to] = 0;
      continue;
    }
    while (ends[run] <= x) run++;
    const speck = specks ? specks[ids[run]] : 0;
    classes[to] = speck ? SPECK + speck - 1 : map.classes[row + x];
    confidence[to] = map.confidence[row + x];
    setSizes[to] = map.setSizes ? map.setSizes[row + x] : 1;
    regions[to] = ids[run] + 1;
  }
}

/**
 * Sample the map under a view.
 * @param {ReturnType<typeof makeScreen>} screen filled in place
 * @param {{height: number, width: number, classes: Uint8Array, confidence: Uint8Array,
 *   setSizes: Uint8Array | null, regions: object, specks?: Uint16Array}} map specks from findSpecks
 * @param {{scale: number, top: number, left: number}} view in canvas pixels
 */
export function sampleScreen(screen, map, view) {
  const { height, width } = screen;
  sampleColumns(screen.columns, view.left, view.scale, map.width);
  let previous = -1;
  for (let i = 0; i < height; i++) {
    const y = Math.floor((i + 0.5 - view.top) / view.scale);
    const at = i * width;
    if (y < 0 || y >= map.height) {
      screen.classes.fill(OUTSIDE, at, at + width);
      screen.setSizes.fill(1, at, at + width);
      screen.regions.fill(0, at, at + width);
      previous = -1;
    } else if (y === previous) {
      // A magnified photo repeats its rows.
      screen.classes.copyWithin(at, at - width, at);
      screen.confidence.copyWithin(at, at - width, at);
      screen.setSizes.copyWithin(at, at - width, at);
      screen.regions.copyWithin(at, at - width, at);
    } else {
      sampleRow(screen, map, at, y);
      previous = y;
    }
  }
  return screen;
}

/**
 * Mark the lines between groups of classes: light inside, dark outside, so that a line shows on
 * any colour. The photo's own border is no line.
 * @param {ReturnType<typeof makeScreen>} screen edges is filled in place
 * @param {number} reach width of each side in canvas pixels
 * @param {Uint16Array} groups for each value of screen.classes: 0 for what is not drawn, NO_GROUP
 *   outside the photo; of two groups the higher one is the inside
 * @param {boolean} band add a strip of colour on both sides, twice as wide
 */
export function findEdges(screen, reach, groups, band = false) {
  screen.edges.fill(0);
  if (band) markPairs(screen, 3 * reach, groups, true);
  markPairs(screen, reach, groups, false);
  return screen.edges;
}

/** Mark both of two pixels `reach` apart that belong to different groups. */
function markPairs({ height, width, classes, edges }, reach, groups, band) {
  for (const [down, across] of [
    [0, reach],
    [reach, 0],
  ]) {
    const step = down * width + across;
    for (let y = 0; y < height - down; y++) {
      const end = (y + 1) * width - across;
      for (let i = y * width; i < end; i++) {
        if (classes[i] === classes[i + step]) continue;
        const here = groups[classes[i]];
        const there = groups[classes[i + step]];
        if (here === there || here === NO_GROUP || there === NO_GROUP) continue;
        if (band) {
          if (here) edges[i] = COLOR_LINE;
          if (there) edges[i + step] = COLOR_LINE;
          continue;
        }
        const inner = here > there ? i : i + step;
        const outer = i + i + step - inner;
        edges[inner] = LIGHT_LINE;
        // A pixel between two lines is the light side of one of them.
        if (edges[outer] !== LIGHT_LINE) edges[outer] = DARK_LINE;
      }
    }
  }
}
