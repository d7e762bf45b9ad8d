// Colours: from the categories' hex strings to what a canvas wants.

/**
 * @param {string} hex "#rrggbb"
 * @returns {number[]} [red, green, blue], each 0 to 255
 */
export function parseHex(hex) {
  const match = /^#([0-9a-f]{6})$/i.exec(hex || "");
  if (!match) throw new Error("Not a colour: " + hex + " (expected #rrggbb).");
  const value = parseInt(match[1], 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/**
 * The bytes of an ImageData pixel as one little-endian number.
 * @param {number[]} rgb
 * @param {number} alpha 0 to 1
 * @returns {number}
 */
export function packColor(rgb, alpha) {
  const a = Math.round(Math.min(1, Math.max(0, alpha)) * 255);
  if (a === 0) return 0;
  return ((a << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;
}

/** What a person reads for the field's "background". */
export const EVERYTHING_ELSE = "everything else";

function isBackground({ raw }) {
  return ["__background__", "background"].includes(String(raw).toLowerCase());
}

/**
 * Names and colours for every index a pixel can hold, also those the model's card leaves out.
 * @param {{index: number, name: string, raw?: string, voc: string, safe: string}[]} categories
 * @returns {{index: number, name: string, raw: string, voc: string, safe: string}[]} 256 long
 */
export function completeCategories(categories) {
  const known = new Map((categories || []).map((category) => [category.index, category]));
  return Array.from({ length: 256 }, (_, index) => {
    const category = known.get(index);
    if (category) {
      const one = { raw: category.name, ...category };
      return isBackground(one) ? { ...one, name: EVERYTHING_ELSE } : one;
    }
    const name = "class " + index;
    return { index, name, raw: name, voc: "#808080", safe: "#808080" };
  });
}

/**
 * The class that means "none of the others", or -1 when a model has none.
 * @param {{index: number, name: string, raw: string}[]} categories
 */
export function backgroundIndex(categories) {
  const found = categories.find(isBackground);
  return found ? found.index : -1;
}

/**
 * Colours of all 256 indices in one palette.
 * @param {object[]} categories from completeCategories
 * @param {"voc"|"safe"} palette
 * @returns {number[][]} 256 entries of [red, green, blue]
 */
export function paletteColors(categories, palette) {
  return categories.map((category) => parseHex(category[palette]));
}
