import assert from "node:assert/strict";
import { test } from "node:test";

import { placeNames, measureRoom } from "../../../viewer/static/label_viewer/names.js";
import { makeScreen, sampleScreen } from "../../../viewer/static/label_viewer/sampling.js";
import { completeCategories } from "../../../viewer/static/shared/palette.js";
import { findRegions, findSpecks } from "../../../viewer/static/shared/regions.js";

const CATEGORIES = completeCategories([
  { index: 0, name: "background", raw: "__background__", voc: "#000000", safe: "#000000" },
  { index: 1, name: "cat", raw: "cat", voc: "#400000", safe: "#e69f00" },
  { index: 2, name: "dining table", raw: "diningtable", voc: "#c08000", safe: "#56b4e9" },
]);
const [HEIGHT, WIDTH] = [300, 400];
const measure = (text, size) => 0.6 * size * text.length;

/** A map with filled rectangles [class, top, left, bottom, right] on background. */
function makeMap(...boxes) {
  const classes = new Uint8Array(HEIGHT * WIDTH);
  for (const [value, top, left, bottom, right] of boxes) {
    for (let y = top; y < bottom; y++) classes.fill(value, y * WIDTH + left, y * WIDTH + right);
  }
  const map = { height: HEIGHT, width: WIDTH, classes, background: 0, categories: CATEGORIES };
  map.confidence = new Uint8Array(classes.length);
  map.regions = findRegions(classes, HEIGHT, WIDTH);
  return Object.assign(map, findSpecks(map.regions, 0, HEIGHT, WIDTH));
}

function place(map, { ratio = 1, hidden = new Set(), scale = 1 } = {}) {
  const screen = makeScreen(HEIGHT * ratio, WIDTH * ratio);
  sampleScreen(screen, map, { scale: scale * ratio, top: 0, left: 0 });
  return placeNames(screen, map, hidden, ratio, measure);
}

/** Whether all corners and the middle of a name's box lie in its class. */
function inside(map, { text, index, y, x, size }) {
  const half = measure(text, size) / 2;
  return [-half, 0, half].every((dx) =>
    [-0.6 * size, 0, 0.6 * size].every(
      (dy) => map.classes[Math.round(y + dy) * WIDTH + Math.round(x + dx)] === index,
    ),
  );
}

test("a name stands in the middle of a plain region, whatever the screen's density", () => {
  const map = makeMap([1, 50, 100, 150, 300]);
  for (const ratio of [1, 2]) {
    const [name, ...others] = place(map, { ratio });
    assert.deepEqual(others, []);
    assert.equal(name.text, "Cat");
    assert.ok(Math.hypot(name.y - 100, name.x - 200) <= 54, "in the middle of its height");
    assert.ok(Math.abs(name.y - 100) <= 4);
    assert.ok(inside(map, name));
  }
});

test("in an L the name stands where most room is, wholly inside", () => {
  const map = makeMap([2, 20, 20, 280, 60], [2, 140, 20, 280, 260]);
  const [name] = place(map);
  assert.equal(name.text, "Dining table");
  assert.ok(inside(map, name));
  assert.ok(name.y > 170 && name.x > 80);
});

test("each of two regions has its name; small, thin, hidden and background ones have none", () => {
  const map = makeMap([1, 10, 10, 90, 120], [2, 150, 10, 290, 200], [1, 200, 250, 290, 390]);
  assert.deepEqual(place(map).map((name) => name.text), ["Dining table", "Cat", "Cat"]);
  assert.deepEqual(place(map, { hidden: new Set([2]) }).map((name) => name.text), ["Cat", "Cat"]);
  assert.deepEqual(place(makeMap([1, 10, 10, 30, 30])), []); // small
  assert.deepEqual(place(makeMap([2, 10, 10, 290, 22])), []); // thin
  const many = [];
  for (let y = 0; y < 4; y++) for (let x = 0; x < 6; x++) many.push([1, y * 75, x * 66, y * 75 + 60, x * 66 + 56]);
  assert.equal(place(makeMap(...many)).length, 12);
});

test("a speck of background does not push the name aside; a real hole does", () => {
  const plain = place(makeMap([1, 50, 100, 150, 300]))[0];
  const speck = place(makeMap([1, 50, 100, 150, 300], [0, 98, 195, 104, 202]))[0];
  assert.deepEqual(speck, plain);
  const map = makeMap([1, 50, 100, 150, 300], [0, 60, 150, 140, 300]);
  assert.ok(inside(map, place(map)[0]));
});

test("only what is in sight counts", () => {
  const map = makeMap([1, 50, 100, 150, 300]);
  const [name] = place(map, { scale: 3 }); // the screen shows the photo's first 100 rows
  assert.ok(name.y > 150 && name.y < 300);
});

test("room is the distance to the next other region", () => {
  const ids = Uint32Array.from({ length: 81 }, (_, i) => (i === 40 ? 2 : 1));
  const room = measureRoom({ rows: 9, columns: 9, ids });
  assert.equal(room[0], 1);
  assert.equal(room[40], 1);
  assert.equal(room[39], 1);
  assert.ok(Math.abs(room[2 * 9 + 4] - 2) < 1e-6);
});
