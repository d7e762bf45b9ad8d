// Connected regions of one class, for the outline of the region at the pointer.
//
// Rows are split into runs of equal class, and touching runs are joined (union-find, four
// neighbours). 12 megapixels have a few hundred thousand runs, so this takes tens of milliseconds
// and a few megabytes; an id for each pixel would take 48 MB.

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

/** Return the representative of a run's region, and shorten the path to it. */
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
 *   areas: Uint32Array, boxes: Uint32Array}} runs of row y are rowStart[y] to rowStart[y + 1];
 *   a run reaches to column ends[run] (exclusive) and belongs to region ids[run];
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
  return measureRegions(rowStart.data, ends.data, parent.data, height);
}

/** Number the regions from 0 and measure each one's area and bounding box. */
function measureRegions(rowStart, ends, parent, height) {
  const runs = rowStart[height];
  const ids = new Uint32Array(runs);
  let count = 0;
  for (let run = 0; run < runs; run++) {
    const root = findRoot(parent, run);
    ids[run] = root === run ? count++ : ids[root];
  }
  const areas = new Uint32Array(count);
  const boxes = new Uint32Array(count * 4);
  for (let y = 0; y < height; y++) {
    let begin = 0;
    for (let run = rowStart[y]; run < rowStart[y + 1]; run++) {
      const id = ids[run];
      const box = id * 4;
      if (areas[id] === 0) {
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
  return { count, rowStart, ends: ends.slice(0, runs), ids, areas, boxes };
}

/**
 * Return the region of one pixel.
 * @param {ReturnType<typeof findRegions>} regions
 * @param {number} y
 * @param {number} x
 * @returns {number} its id, 0 to count - 1
 */
export function regionAt(regions, y, x) {
  let low = regions.rowStart[y];
  let high = regions.rowStart[y + 1] - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (regions.ends[middle] > x) high = middle;
    else low = middle + 1;
  }
  return regions.ids[low];
}
