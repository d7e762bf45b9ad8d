import assert from "node:assert/strict";
import { test } from "node:test";

import { judgePixel, withArticle } from "../../../viewer/static/shared/verdict.js";
import { placeBeside } from "../../../viewer/static/pixel_card/place.js";

const cat = (p) => ({ name: "cat", isRest: false, p });
const dog = (p) => ({ name: "dog", isRest: false, p });
const rest = (p) => ({ name: "everything else", isRest: true, p });

test("one sentence says what a pixel is and how sure the model is", () => {
  const said = (first, second) => {
    const { kind, text, more } = judgePixel(first, second);
    return [kind, text, more];
  };
  assert.deepEqual(said(cat(0.95), dog(0.03)), ["sure", "A cat. The model is sure.", ""]);
  assert.deepEqual(said(cat(0.9), dog()), ["sure", "A cat. The model is sure.", ""]);
  const probably = ["probably", "A cat, probably.", "It could be a dog."];
  assert.deepEqual(said(cat(0.63), dog(0.36)), probably);
  assert.deepEqual(said(cat(0.63), dog()), probably); // before the server has answered
  const torn = ["torn", "A cat or a dog: it cannot decide.", ""];
  assert.deepEqual(said(cat(0.48), dog(0.42)), torn);
  assert.deepEqual(said(cat(0.54), dog(0.45)), torn);
  const bottle = { name: "bottle", isRest: false, p: 0.31 };
  const unsure = ["unsure", "It does not really know. Its best guess is bottle.", ""];
  assert.deepEqual(said(bottle, dog(0.1)), unsure);
  assert.deepEqual(said({ ...bottle, p: 0.2 }, dog(0.19)), unsure); // a guess among many
});

test("the background is no thing with a name, and articles fit", () => {
  assert.equal(judgePixel(rest(0.97), cat(0.02)).text, "Nothing that it knows. The model is sure.");
  assert.equal(judgePixel(rest(0.5), cat(0.45)).text, "Nothing that it knows or a cat: it cannot decide.");
  assert.equal(judgePixel(cat(0.7), rest(0.2)).more, "It could be nothing that it knows.");
  assert.deepEqual(["aeroplane", "sheep", "TV monitor"].map(withArticle), [
    "an aeroplane",
    "a sheep",
    "a TV monitor",
  ]);
});

test("the card leaves its pixel uncovered and stays on the stage, wherever the pixel is", () => {
  for (const stage of [
    { height: 520, width: 640 },
    { height: 280, width: 560 },
    { height: 700, width: 420 },
    { height: 300, width: 330 },
  ]) {
    for (let y = 0; y <= stage.height; y += 20) {
      for (let x = 0; x <= stage.width; x += 20) {
        const card = { height: 230, width: 304 };
        const { top, left, height, width } = placeBeside({ y, x }, card, stage);
        assert.ok(top >= 0 && left >= 0, `${y} ${x}: ${top} ${left}`);
        assert.ok(top + height <= stage.height && left + width <= stage.width, `${y} ${x}`);
        const covered = y >= top && y <= top + height && x >= left && x <= left + width;
        assert.ok(!covered, `${y} ${x} in ${JSON.stringify(stage)}`);
        if (stage.width > 2 * 304 + 60) assert.deepEqual([height, width], [230, 304]);
      }
    }
  }
});
