// Connected regions of one class, so that the one under the pointer can be outlined.
//
// Rows are cut into runs of equal class and runs that touch are joined (union-find, four
// neighbours). Label maps have long runs: 12 megapixels come to a few hundred thousand, so
// this takes tens of milliseconds and a few megabytes where an id for each pixel takes 48.

/** A Uint32Array that grows. */
class Numbers {
  constructor(capacity) {
    this.data = new Uint32Array(capacity);
    this.length = 0;
  }

  push(value) {
    if (this.length === this.data.length) {
      const larger = new Uint32Array(this.data.length * 2);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }
}

/** The representative of a run's region, flattening the path on the way. */
function findRoot(parent, run) {
  while (parent[run] !== run) {
    parent[run] = parent[parent[run]];
    run = parent[run];
  }
  return run;
}

/** Join the runs of row y with those of the row above that they touch and share a class with. */
function joinRows(rowStart, ends, runClass, parent, y) {
  let up = rowStart.data[y - 1];
  let run = rowStart.data[y];
  const upStop = run;
  const stop = ends.length;
  let upBegin = 0;
  let begin = 0;
  while (up < upStop && run < stop) {
    const upEnd = ends.data[up];
    const end = ends.data[run];
    if (runClass.data[up] === runClass.data[run] && upBegin < end && begin < upEnd) {
      const a = findRoot(parent.data, up);
      const b = findRoot(parent.data, run);
      if (a < b) parent.data[b] = a;
      else parent.data[a] = b;
    }
    if (upEnd <= end) {
      upBegin = upEnd;
      up++;
    }
    if (end <= upEnd) {
      begin = end;
      run++;
    }
  }
}

/**
 * Find the regions of a class map.
 * @param {Uint8Array} classes row-major class indices
 * @param {number} height
 * @param {number} width
 * @returns {{count: number, rowStart: Uint32Array, ends: Uint32Array, ids: Uint32Array,
 *   classes: Uint8Array, areas: Uint32Array, boxes: Uint32Array}} runs of row y are rowStart[y] to
 *   rowStart[y + 1]; a run reaches to column ends[run] (exclusive) and belongs to region ids[run];
 *   boxes holds top, left, bottom, right (half-open) of each region
 */
export function findRegions(classes, height, width) {
  const rowStart = new Numbers(height + 1);
  const ends = new Numbers(height * 8 + 64);
  const runClass = new Numbers(height * 8 + 64);
  const parent = new Numbers(height * 8 + 64);
  for (let y = 0; y < height; y++) {
    rowStart.push(ends.length);
    const first = y * width;
    const last = first + width;
    for (let at = first; at < last;) {
      const value = classes[at];
      do at++;
      while (at < last && classes[at] === value);
      parent.push(ends.length);
      ends.push(at - first);
      runClass.push(value);
    }
    if (y > 0) joinRows(rowStart, ends, runClass, parent, y);
  }
  rowStart.push(ends.length);
  return measureRegions(rowStart.data, ends.data, parent.data, runClass.data, height);
}

/** Number the regions from 0 and measure each one's area and bounding box. */
function measureRegions(rowStart, ends, parent, runClass, height) {
  const runs = rowStart[height];
  const ids = new Uint32Array(runs);
  let count = 0;
  for (let run = 0; run < runs; run++) {
    const root = findRoot(parent, run);
    ids[run] = root === run ? count++ : ids[root];
  }
  const classes = new Uint8Array(count);
  const areas = new Uint32Array(count);
  const boxes = new Uint32Array(count * 4);
  for (let y = 0; y < height; y++) {
    let begin = 0;
    for (let run = rowStart[y]; run < rowStart[y + 1]; run++) {
      const id = ids[run];
      const box = id * 4;
      if (areas[id] === 0) {
        classes[id] = runClass[run];
        boxes[box] = y;
        boxes[box + 1] = begin;
      }
      areas[id] += ends[run] - begin;
      boxes[box + 1] = Math.min(boxes[box + 1], begin);
      boxes[box + 2] = y + 1;
      boxes[box + 3] = Math.max(boxes[box + 3], ends[run]);
      begin = ends[run];
    }
  }
  return { count, rowStart, ends: ends.slice(0, runs), ids, classes, areas, boxes };
}

/** The run that holds column x of row y. */
function runAt(regions, y, x) {
  let low = regions.rowStart[y];
  let high = regions.rowStart[y + 1] - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (regions.ends[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The region of one pixel.
 * @param {ReturnType<typeof findRegions>} regions
 * @param {number} y
 * @param {number} x
 * @returns {number} its id, 0 to count - 1
 */
export function regionAt(regions, y, x) {
  return regions.ids[runAt(regions, y, x)];
}

const SPECK_OF_PHOTO = 0.004;
const SPECK_OF_OWNER = 0.1;

/**
 * Specks: small regions of background that lie wholly inside one class. Drawn as they are, they
 * would look like holes in the picture.
 * @param {ReturnType<typeof findRegions>} regions
 * @param {number} background the background's index, or -1
 * @param {number} height
 * @param {number} width
 * @returns {{specks: Uint16Array, owners: Uint32Array}} for each region: 1 + the class around it
 *   where it is a speck, else 0; and the region around it, else itself
 */
export function findSpecks(regions, background, height, width) {
  const { rowStart, ends, ids, classes, areas, count } = regions;
  const specks = new Uint16Array(count);
  const owners = Uint32Array.from({ length: count }, (_, id) => id);
  const most = SPECK_OF_PHOTO * height * width;
  const open = new Uint8Array(count); // 1: touches the photo's border or a second class
  const meet = (id, other) => {
    const around = classes[other] + 1;
    if (specks[id] && specks[id] !== around) open[id] = 1;
    specks[id] = around;
    if (owners[id] === id || areas[other] > areas[owners[id]]) owners[id] = other;
  };
  for (let y = 0; y < height; y++) {
    let begin = 0;
    for (let run = rowStart[y]; run < rowStart[y + 1]; begin = ends[run++]) {
      const id = ids[run];
      if (areas[id] > most || classes[id] !== background) continue;
      if (!begin || ends[run] === width || !y || y === height - 1) {
        open[id] = 1;
        continue;
      }
      meet(id, ids[run - 1]);
      meet(id, ids[run + 1]);
      for (const other of [y - 1, y + 1]) {
        let near = runAt(regions, other, begin);
        for (let at = begin; at < ends[run]; at = ends[near++]) {
          if (ids[near] !== id) meet(id, ids[near]);
        }
      }
    }
  }
  for (let id = 0; id < count; id++) {
    if (!specks[id]) continue;
    if (!open[id] && areas[id] <= SPECK_OF_OWNER * areas[owners[id]]) continue;
    specks[id] = 0;
    owners[id] = id;
  }
  return { specks, owners };
}
