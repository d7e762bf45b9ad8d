import assert from "node:assert/strict";
import { test } from "node:test";

import { countRuns, packRuns, toCoco, traceOutline } from "../../../viewer/static/saving/coco.js";
import { fileStem } from "../../../viewer/static/saving/handing.js";
import { maskRegions, softenMask } from "../../../viewer/static/saving/mask.js";
import { findRegions, regionAt } from "../../../viewer/static/shared/regions.js";

function makeMap(rows) {
  const [height, width] = [rows.length, rows[0].length];
  const classes = Uint8Array.from(rows.join("").split("").map(Number));
  return { height, width, classes, background: 0, regions: findRegions(classes, height, width) };
}

/** Which pixels have their middle inside a polygon, by counting the edges to their right. */
function fillPolygon(points, height, width) {
  const inside = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let crossings = 0;
      for (let i = 0; i < points.length; i += 2) {
        const [x1, y1] = [points[i], points[i + 1]];
        const [x2, y2] = [points[(i + 2) % points.length], points[(i + 3) % points.length]];
        if (x1 === x2 && x1 > x && Math.min(y1, y2) <= y && Math.max(y1, y2) > y) crossings++;
        assert.ok(x1 === x2 || y1 === y2);
      }
      inside.push(crossings % 2);
    }
  }
  return inside;
}

test("an outline encloses its region, corner by corner, and fills the holes", () => {
  const map = makeMap(["0000000", "0110110", "0010100", "0111110", "0101010", "0111111", "0000001"]);
  const region = regionAt(map.regions, 1, 1);
  const mask = maskRegions(map, (id) => id === region);
  const filled = fillPolygon(traceOutline(mask), 7, 7);
  const wanted = [...map.classes];
  wanted[4 * 7 + 2] = wanted[4 * 7 + 4] = 1; // the holes
  assert.deepEqual(filled, wanted);
  const single = makeMap(["000", "010", "000"]);
  const one = maskRegions(single, (id) => single.regions.classes[id] === 1);
  assert.deepEqual(traceOutline(one), [2, 1, 2, 2, 1, 2, 1, 1]);
});

test("outlines of noise enclose their regions too, also where only corners touch", () => {
  let seed = 7;
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const rows = Array.from({ length: 12 }, () =>
    Array.from({ length: 15 }, () => (next() < 0.55 ? 1 : 0)).join(""),
  );
  const map = makeMap(rows);
  for (let region = 0; region < map.regions.count; region++) {
    const mask = maskRegions(map, (id) => id === region);
    const filled = fillPolygon(traceOutline(mask), 12, 15);
    for (let y = 0; y < 12; y++) {
      for (let x = 0; x < 15; x++) {
        if (regionAt(map.regions, y, x) === region) assert.equal(filled[y * 15 + x], 1);
      }
    }
  }
});

test("runs go down the columns and are packed as COCO packs them", () => {
  const map = makeMap(["0011", "0011", "0001"]);
  const mask = maskRegions(map, (id) => map.regions.classes[id] === 1);
  assert.deepEqual(countRuns(mask, 3, 4), [6, 2, 1, 3]);
  const tall = makeMap(["001", "110", "110"]);
  const two = maskRegions(tall, (id) => tall.regions.classes[id] === 1 && id !== 1);
  assert.deepEqual(countRuns(two, 3, 3), [1, 2, 1, 2, 3]);
  const all = maskRegions(makeMap(["11", "11"]), () => true);
  assert.deepEqual(countRuns(all, 2, 2), [0, 4]);
  // As pycocotools packs {"counts": [...], "size": [9, 10]}.
  assert.equal(packRuns([6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
});

test("a COCO file names image, categories and annotations", () => {
  const map = makeMap(["0011", "2011", "2201"]);
  const value = {
    categories: [
      { index: 0, raw: "__background__", name: "background" },
      { index: 1, raw: "cat", name: "cat" },
      { index: 2, raw: "diningtable", name: "dining table" },
    ],
  };
  const coco = JSON.parse(toCoco(value, map, "pets.jpg", false));
  assert.deepEqual(coco.images, [{ id: 1, file_name: "pets.jpg", height: 3, width: 4 }]);
  assert.deepEqual(coco.categories.map(({ id, name }) => [id, name]), [
    [1, "cat"],
    [2, "diningtable"],
  ]);
  const [cat, table] = coco.annotations;
  assert.deepEqual([cat.category_id, cat.bbox, cat.area, cat.iscrowd], [1, [2, 0, 2, 3], 5, 0]);
  assert.deepEqual([table.id, table.bbox, table.area], [2, [0, 1, 2, 2], 3]);
});

test("a soft edge is two pixels wide, and the photo's border is none", () => {
  const rows = Array.from({ length: 8 }, () => "00001111");
  const map = makeMap(rows);
  const { top, left, height, width, alpha } = softenMask(
    maskRegions(map, (id) => map.regions.classes[id] === 1),
    8,
    8,
  );
  assert.deepEqual([top, left, height, width], [0, 3, 8, 5]);
  for (let y = 0; y < 8; y++) {
    assert.deepEqual([...alpha.subarray(y * 5, y * 5 + 5)], [64, 191, 255, 255, 255]);
  }
});

test("files are called after the photo", () => {
  assert.equal(fileStem("My cat.JPG"), "My cat");
  assert.equal(fileStem("Grüße/../Hund:1.png"), "Grüße_.._Hund_1");
  assert.equal(fileStem(undefined), "photo");
  assert.equal(fileStem(".png"), "photo");
});
