// Two kinds of PNG: decoding the label map, encoding an indexed image.
//
// The browser's own decoder cannot be used for the label map: a canvas read-back applies colour
// management and alpha, and some browsers add noise against fingerprinting. A class index that is
// off by one is a different class.

const PNG_SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const SLICE_MS = 10;

/** Yield to input and painting; unlike a timer, this is not throttled in hidden tabs. */
export function nextTask() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(0);
  });
}

/**
 * Split a PNG into its header and its compressed bytes.
 * @param {Uint8Array} bytes
 * @returns {{height: number, width: number, bitDepth: number, colorType: number,
 *   interlace: number, data: Uint8Array[]}}
 */
export function readPngChunks(bytes) {
  if (PNG_SIGNATURE.some((value, i) => bytes[i] !== value)) {
    throw new Error("The label map is not a PNG file.");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const png = { height: 0, width: 0, bitDepth: 0, colorType: 0, interlace: 0, data: [] };
  let at = 8;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (body.length < length) throw new Error("The label map ends too early.");
    if (type === "IHDR") {
      png.width = view.getUint32(at + 8);
      png.height = view.getUint32(at + 12);
      [png.bitDepth, png.colorType, , , png.interlace] = body.subarray(8);
    } else if (type === "IDAT") {
      png.data.push(body);
    } else if (type === "IEND") {
      return png;
    }
    at += length + 12;
  }
  throw new Error("The label map ends too early.");
}

/**
 * Undo a PNG row filter in place.
 * @param {number} filter 0 none, 1 sub, 2 up, 3 average, 4 Paeth
 * @param {Uint8Array} row the filtered row, replaced by its pixels
 * @param {Uint8Array} above the finished row above (zeros for the first)
 * @param {number} step bytes a pixel
 */
export function unfilterRow(filter, row, above, step = 3) {
  const n = row.length;
  if (filter === 1) {
    for (let i = step; i < n; i++) row[i] += row[i - step];
  } else if (filter === 2) {
    for (let i = 0; i < n; i++) row[i] += above[i];
  } else if (filter === 3) {
    for (let i = 0; i < step; i++) row[i] += above[i] >> 1;
    for (let i = step; i < n; i++) row[i] += (row[i - step] + above[i]) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < step; i++) row[i] += above[i];
    for (let i = step; i < n; i++) {
      const a = row[i - step];
      const b = above[i];
      const c = above[i - step];
      const pa = b > c ? b - c : c - b;
      const pb = a > c ? a - c : c - a;
      const d = a + b - c - c;
      const pc = d < 0 ? -d : d;
      row[i] += pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    }
  } else if (filter !== 0) {
    throw new Error("The label map uses an unknown row filter (" + filter + ").");
  }
}

/** Throw if the PNG's format is not the label map's. */
function checkLabelHeader(png) {
  if (png.bitDepth !== 8 || ![2, 6].includes(png.colorType) || png.interlace !== 0) {
    throw new Error("The label map must be an 8-bit RGB or RGBA PNG without interlacing.");
  }
  if (!png.width || !png.height) throw new Error("The label map is empty.");
}

/**
 * Decode the label map without any colour conversion.
 * @param {Uint8Array} bytes an 8-bit RGB PNG: class index, confidence, runner-up class; or RGBA:
 *   then alpha is 256 less the number of classes that the pixel may be
 * @returns {Promise<{height: number, width: number, classes: Uint8Array, confidence: Uint8Array,
 *   runnerUp: Uint8Array, setSizes: Uint8Array | null}>} planes in row-major order
 */
export async function decodeLabelPng(bytes) {
  const png = readPngChunks(bytes);
  checkLabelHeader(png);
  const { height, width } = png;
  const classes = new Uint8Array(height * width);
  const confidence = new Uint8Array(height * width);
  const runnerUp = new Uint8Array(height * width);
  const step = png.colorType === 6 ? 4 : 3;
  const setSizes = step === 4 ? new Uint8Array(height * width) : null;
  const line = new Uint8Array(width * step + 1);
  let row = new Uint8Array(width * step);
  let above = new Uint8Array(width * step);
  let filled = 0;
  let y = 0;
  const finishLine = () => {
    row.set(line.subarray(1));
    unfilterRow(line[0], row, above, step);
    for (let i = 0, at = y * width; i < row.length; i += step, at++) {
      classes[at] = row[i];
      confidence[at] = row[i + 1];
      runnerUp[at] = row[i + 2];
    }
    if (setSizes) {
      for (let i = 3, at = y * width; i < row.length; i += 4, at++) setSizes[at] = 256 - row[i];
    }
    [row, above] = [above, row];
    filled = 0;
    y++;
  };
  const inflated = new Blob(png.data).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = inflated.getReader();
  let sliceEnds = performance.now() + SLICE_MS;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    for (let at = 0; at < value.length && y < height;) {
      const take = Math.min(line.length - filled, value.length - at);
      line.set(value.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === line.length) finishLine();
    }
    if (performance.now() > sliceEnds) {
      await nextTask();
      sliceEnds = performance.now() + SLICE_MS;
    }
  }
  if (y < height) throw new Error("The label map ends too early.");
  return { height, width, classes, confidence, runnerUp, setSizes };
}

const CRC_TABLE = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** Return the CRC-32 of a PNG chunk (PNG specification, annex D). */
function crc32(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC_TABLE[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Return a PNG chunk: length, type, body, checksum. */
function pngChunk(type, body) {
  const chunk = new Uint8Array(body.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) chunk[4 + i] = type.charCodeAt(i);
  chunk.set(body, 8);
  view.setUint32(8 + body.length, crc32(chunk.subarray(4, 8 + body.length)));
  return chunk;
}

/**
 * Encode the class map as an indexed PNG: pixel values are classes, the palette has the colours.
 * @param {Uint8Array} classes row-major class indices
 * @param {number} height
 * @param {number} width
 * @param {number[][]} palette up to 256 colours [red, green, blue], by class index
 * @returns {Promise<Blob>} an 8-bit palette PNG
 */
export async function encodeIndexedPng(classes, height, width, palette) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = 3;
  const lines = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    lines.set(classes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const deflated = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(deflated).arrayBuffer());
  const parts = [
    new Uint8Array(PNG_SIGNATURE),
    pngChunk("IHDR", header),
    pngChunk("PLTE", Uint8Array.from(palette.flat())),
    pngChunk("IDAT", data),
    pngChunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}
