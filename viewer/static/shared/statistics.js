// Numbers about a label map, and the words and tables made of them.

/**
 * Count pixels by class and confidence. With this table every share, mean and "unsure" count is
 * a short sum, so that the threshold can move without looking at a pixel again.
 * @param {Uint8Array} classes
 * @param {Uint8Array} confidence 0 to 255
 * @returns {Uint32Array} 256 x 256, row = class, column = confidence level
 */
export function countLevels(classes, confidence) {
  const counts = new Uint32Array(256 * 256);
  for (let i = 0; i < classes.length; i++) counts[(classes[i] << 8) | confidence[i]]++;
  return counts;
}

/**
 * The classes that are present, largest first.
 * @param {Uint32Array} counts from countLevels
 * @returns {{index: number, pixels: number, fraction: number, confidence: number}[]}
 *   fraction of the photo and mean confidence, both 0 to 1
 */
export function measureAreas(counts) {
  const areas = [];
  let total = 0;
  for (let index = 0; index < 256; index++) {
    let pixels = 0;
    let sum = 0;
    for (let level = 0; level < 256; level++) {
      const n = counts[(index << 8) | level];
      pixels += n;
      sum += n * level;
    }
    total += pixels;
    if (pixels) areas.push({ index, pixels, fraction: 0, confidence: sum / pixels / 255 });
  }
  for (const area of areas) area.fraction = area.pixels / total;
  return areas.sort((a, b) => b.pixels - a.pixels || a.index - b.index);
}

/** How many pixels lie below a confidence level (0 to 255, see unsureLevel). */
export function countUnsure(counts, level) {
  let pixels = 0;
  for (let index = 0; index < 256; index++) {
    for (let i = 0; i < level; i++) pixels += counts[(index << 8) | i];
  }
  return pixels;
}

/** How many pixels may be two classes or more; 0 where that is not known. */
export function countSeveral(setSizes) {
  let pixels = 0;
  if (setSizes) for (const size of setSizes) if (size > 1) pixels++;
  return pixels;
}

/** A confidence level (0 to 255) below which a pixel is unsure where no map's sets say so: 50 %. */
const UNSURE_LEVEL = 128;

/**
 * The sets of a map that has none: an unsure pixel may be two classes, any other is one.
 * @param {Uint8Array} confidence 0 to 255
 */
export function guessSets(confidence) {
  const sizes = new Uint8Array(confidence.length);
  for (let i = 0; i < sizes.length; i++) sizes[i] = confidence[i] < UNSURE_LEVEL ? 2 : 1;
  return sizes;
}

/**
 * A pixel's set in words: "dog", "dog, or maybe cat", "dog, or maybe cat or horse".
 * @param {string[]} names the likeliest first
 */
export function setInWords(names) {
  const [first, ...others] = names;
  return others.length ? first + ", or maybe " + others.join(" or ") : first;
}

/** The sentence above a photo of which most is unsure; empty for other photos. */
export function doubtInWords(share, things) {
  if (!(share > 0.5)) return "";
  return "The model knows " + things + " things. It is unsure about most of this photo.";
}

/**
 * What the map says about one pixel.
 * @param {object} map the decoded label map with its categories
 * @param {number} y
 * @param {number} x
 * @param {number} level confidence (0 to 255) below which a pixel is unsure; 0 leaves that to the
 *   map's sets
 * @returns {{index: number, name: string, words: string, confidence: number, runnerUp: string,
 *   runnerUpIndex: number, several: boolean, unsure: boolean}} words: the class, or the classes
 *   that it may be
 */
export function readPixel(map, y, x, level) {
  const at = y * map.width + x;
  const index = map.classes[at];
  const { name } = map.categories[index];
  const runnerUpIndex = map.runnerUp[at];
  const runnerUp = map.categories[runnerUpIndex].name;
  const size = map.setSizes ? map.setSizes[at] : 1;
  const set = [name, runnerUp, "something else"].slice(0, size);
  return {
    index,
    name,
    words: setInWords(set),
    // The highest level stands for all that rounds to it: nothing is wholly certain.
    confidence: Math.min(254.5, map.confidence[at]) / 255,
    runnerUp,
    runnerUpIndex,
    several: size > 1,
    unsure: level > 0 ? map.confidence[at] < level : size > 1,
  };
}

/** A text with a capital at its beginning. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A share in words a person reads at a glance: "<1 %", "12 %", "12.3 %". */
export function percent(fraction, digits = 0) {
  const least = 10 ** -digits;
  const value = fraction * 100;
  if (value > 0 && value < least) return "<" + least.toFixed(digits) + " %";
  if (value < 100 && value > 100 - least) return ">" + (100 - least).toFixed(digits) + " %";
  return value.toFixed(digits) + " %";
}

/** The rows of the saved tables, with the fields and raw names of the server's own JSON. */
export function tableRows(areas, categories) {
  return areas.map((area) => ({
    index: area.index,
    name: categories[area.index].raw,
    pixels: area.pixels,
    fraction: Number(area.fraction.toFixed(6)),
    confidence: Number(area.confidence.toFixed(4)),
  }));
}

/** A table as CSV with a header line (RFC 4180). */
export function toCsv(rows) {
  const fields = ["index", "name", "pixels", "fraction", "confidence"];
  const cell = (value) => {
    const text = String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const lines = [fields, ...rows.map((row) => fields.map((field) => row[field]))];
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}
