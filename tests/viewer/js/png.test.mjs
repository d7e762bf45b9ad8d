import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, crc32, deflateRawSync, deflateSync, inflateSync } from "node:zlib";

import { decodeLabelPng, encodeIndexedPng, readPngChunks } from "../../../viewer/static/shared/png.js";

/** Any chunk; Node's own crc32 is newer than some Nodes in use, so a plain loop. */
function chunk(type, body) {
  const bytes = Buffer.alloc(body.length + 12);
  bytes.writeUInt32BE(body.length, 0);
  bytes.write(type, 4, "latin1");
  Buffer.from(body).copy(bytes, 8);
  bytes.writeUInt32BE(checksum(bytes.subarray(4, 8 + body.length)), 8 + body.length);
  return bytes;
}

function checksum(bytes) {
  if (crc32) return crc32(bytes);
  let c = 0xffffffff;
  for (const byte of bytes) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  }
  return (c ^ 0xffffffff) >>> 0;
}

/** The filters of the PNG specification, written from its formulas. */
function filterRow(kind, row, above, step) {
  return row.map((value, i) => {
    const a = i >= step ? row[i - step] : 0;
    const b = above[i];
    const c = i >= step ? above[i - step] : 0;
    const p = a + b - c;
    const [pa, pb, pc] = [a, b, c].map((n) => Math.abs(p - n));
    const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    return value - [0, a, b, Math.floor((a + b) / 2), paeth][kind];
  });
}

function makePng(height, width, pixels, { kinds = [0], colorType = 2, idats = 1 } = {}) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  header[9] = colorType;
  const lines = [];
  const step = colorType === 6 ? 4 : 3;
  let above = new Uint8Array(width * step);
  for (let y = 0; y < height; y++) {
    const row = pixels.subarray(y * width * step, (y + 1) * width * step);
    const kind = kinds[y % kinds.length];
    lines.push(Buffer.from([kind]), Buffer.from(filterRow(kind, row, above, step)));
    above = row;
  }
  const data = deflateSync(Buffer.concat(lines));
  const size = Math.ceil(data.length / idats);
  const parts = Array.from({ length: idats }, (_, i) => data.subarray(i * size, (i + 1) * size));
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", header),
    ...parts.map((part) => chunk("IDAT", part)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function noise(n, seed = 1) {
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    out[i] = seed >>> 24;
  }
  return out;
}

function assertDecoded(map, pixels) {
  for (let i = 0; i < map.classes.length; i++) {
    assert.equal(map.classes[i], pixels[i * 3]);
    assert.equal(map.confidence[i], pixels[i * 3 + 1]);
    assert.equal(map.runnerUp[i], pixels[i * 3 + 2]);
  }
}

for (const kind of [0, 1, 2, 3, 4]) {
  test("every pixel survives row filter " + kind, async () => {
    const pixels = noise(37 * 23 * 3, kind + 1);
    const map = await decodeLabelPng(makePng(23, 37, pixels, { kinds: [kind] }));
    assert.deepEqual([map.height, map.width], [23, 37]);
    assertDecoded(map, pixels);
  });
}

for (const kind of [0, 1, 2, 3, 4]) {
  test("with a fourth channel too, which holds the sets: row filter " + kind, async () => {
    const pixels = noise(37 * 23 * 4, kind + 7).map((value) => value || 1);
    const options = { kinds: [kind], colorType: 6 };
    const map = await decodeLabelPng(makePng(23, 37, pixels, options));
    for (let i = 0; i < map.classes.length; i++) {
      assert.equal(map.classes[i], pixels[i * 4]);
      assert.equal(map.confidence[i], pixels[i * 4 + 1]);
      assert.equal(map.runnerUp[i], pixels[i * 4 + 2]);
      assert.equal(map.setSizes[i], 256 - pixels[i * 4 + 3]);
    }
  });
}

test("without a fourth channel nothing is known of sets", async () => {
  const map = await decodeLabelPng(makePng(1, 1, new Uint8Array([20, 255, 3])));
  assert.equal(map.setSizes, null);
});

test("filters may change from row to row, and the data may come in pieces", async () => {
  const pixels = noise(301 * 200 * 3);
  const options = { kinds: [0, 1, 2, 3, 4], idats: 7 };
  assertDecoded(await decodeLabelPng(makePng(200, 301, pixels, options)), pixels);
});

test("strips that were packed apart are one picture", async () => {
  const [height, width] = [40, 31];
  const pixels = noise(height * width * 3);
  const whole = makePng(height, width, pixels, { kinds: [2] });
  const lines = inflateSync(Buffer.concat(readPngChunks(whole).data.map((part) => part)));
  const strip = 11 * (width * 3 + 1);
  const parts = [Buffer.from([0x78, 1])];
  for (let at = 0; at < lines.length; at += strip) {
    const last = at + strip >= lines.length;
    const finishFlush = last ? constants.Z_FINISH : constants.Z_FULL_FLUSH;
    parts.push(deflateRawSync(lines.subarray(at, at + strip), { level: 1, finishFlush }));
  }
  parts.push(deflateSync(lines).subarray(-4)); // the checksum of the whole
  const end = whole.subarray(-12);
  const png = Buffer.concat([whole.subarray(0, 33), chunk("IDAT", Buffer.concat(parts)), end]);
  assertDecoded(await decodeLabelPng(png), pixels);
});

test("one pixel is a picture too", async () => {
  const map = await decodeLabelPng(makePng(1, 1, new Uint8Array([20, 255, 3])));
  assert.deepEqual([map.classes[0], map.confidence[0], map.runnerUp[0]], [20, 255, 3]);
});

test("what is no label map is refused in words", async () => {
  const good = makePng(4, 4, noise(48));
  await assert.rejects(decodeLabelPng(new TextEncoder().encode("<html>")), /not a PNG/);
  await assert.rejects(decodeLabelPng(good.subarray(0, 50)), /ends too early/);
  const gray = makePng(4, 4, noise(48), { colorType: 0 });
  await assert.rejects(decodeLabelPng(gray), /8-bit RGB or RGBA PNG/);
  const short = makePng(4, 4, noise(48).subarray(0, 36));
  await assert.rejects(decodeLabelPng(short), /ends too early/);
});

test("an indexed PNG holds the classes as its pixel values and the palette as colours", async () => {
  const classes = Uint8Array.from([0, 1, 2, 20, 255, 15]);
  const palette = Array.from({ length: 256 }, (_, i) => [i, 255 - i, (i * 7) % 256]);
  const blob = await encodeIndexedPng(classes, 2, 3, palette);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const png = readPngChunks(bytes);
  assert.deepEqual([png.height, png.width, png.bitDepth, png.colorType], [2, 3, 8, 3]);
  const lines = inflateSync(Buffer.concat(png.data.map((part) => Buffer.from(part))));
  assert.deepEqual([...lines], [0, 0, 1, 2, 0, 20, 255, 15]);
  const at = Buffer.from(bytes).indexOf("PLTE") + 4;
  assert.deepEqual([...bytes.subarray(at, at + 6)], [0, 255, 0, 1, 254, 7]);
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint32(at + 768), checksum(bytes.subarray(at - 4, at + 768)));
});
