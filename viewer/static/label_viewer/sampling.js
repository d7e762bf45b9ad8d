// The label map at screen resolution: a class, confidence and region for each canvas pixel.
//
// Sampling happens when the view changes. Afterwards a change of opacity, class, threshold or hover
// works on these small arrays only, so it costs the same for 1 and 12 megapixels. Labels are taken
// from the nearest pixel.

/** The value of screen.classes outside the photo. */
export const OUTSIDE = 256;

/** Return arrays for a canvas of this size; reuse the old ones if the size is the same. */
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

/** Write the photo's column at the centre of each canvas column, or -1 outside. */
function sampleColumns(columns, left, scale, width) {
  for (let i = 0; i < columns.length; i++) {
    const x = Math.floor((i + 0.5 - left) / scale);
    columns[i] = x >= 0 && x < width ? x : -1;
  }
}

/** Copy one row of the map to a canvas row; region ids come from the row's runs. */
function sampleRow(screen, map, at, y) {
  const { classes, confidence, setSizes, regions, columns, width } = screen;
  const row = y * map.width;
  const { ends, ids, rowStart } = map.regions;
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
    classes[to] = map.classes[row + x];
    confidence[to] = map.confidence[row + x];
    setSizes[to] = map.setSizes ? map.setSizes[row + x] : 1;
    regions[to] = ids[run] + 1;
  }
}

/**
 * Sample the map under a view.
 * @param {ReturnType<typeof makeScreen>} screen filled in place
 * @param {{height: number, width: number, classes: Uint8Array, confidence: Uint8Array,
 *   setSizes: Uint8Array | null, regions: object}} map
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
 * Mark the pixels within `reach` of another class. The photo's own border is not an edge.
 * @param {ReturnType<typeof makeScreen>} screen edges becomes 1 on a contour, 0 elsewhere
 * @param {number} reach in canvas pixels; a line is twice as wide, half on each side
 */
export function findEdges(screen, reach) {
  const { height, width, classes, edges } = screen;
  edges.fill(0);
  const down = reach * width;
  for (let y = 0; y < height; y++) {
    const end = (y + 1) * width;
    for (let i = y * width; i < end - reach; i++) {
      const value = classes[i];
      const right = classes[i + reach];
      if (value !== right && value !== OUTSIDE && right !== OUTSIDE) {
        edges[i] = 1;
        edges[i + reach] = 1;
      }
    }
    if (y + reach >= height) continue;
    for (let i = y * width; i < end; i++) {
      const value = classes[i];
      const below = classes[i + down];
      if (value !== below && value !== OUTSIDE && below !== OUTSIDE) {
        edges[i] = 1;
        edges[i + down] = 1;
      }
    }
  }
  return edges;
}
