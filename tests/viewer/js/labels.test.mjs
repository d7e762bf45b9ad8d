import assert from "node:assert/strict";
import { test } from "node:test";

import {
  countLevels,
  countSeveral,
  countUnsure,
  doubtInWords,
  guessSets,
  measureAreas,
  percent,
  readPixel,
  setInWords,
  tableRows,
  toCsv,
} from "../../../viewer/static/shared/statistics.js";
import {
  describePhoto,
  partInWords,
  sureInWords,
} from "../../../viewer/static/shared/headline.js";
import { HiddenClasses } from "../../../viewer/static/label_viewer/hidden_classes.js";
import {
  contourAlpha,
  makeStyle,
  paintLabels,
  paintOutline,
  sureColor,
  unsureLevel,
} from "../../../viewer/static/label_viewer/renderer.js";
import {
  backgroundIndex,
  completeCategories,
  packColor,
  paletteColors,
  parseHex,
} from "../../../viewer/static/shared/palette.js";
import { findRegions, findSpecks, regionAt } from "../../../viewer/static/shared/regions.js";
import {
  CODES,
  NO_GROUP,
  OUTSIDE,
  findEdges,
  makeScreen,
  sampleScreen,
} from "../../../viewer/static/label_viewer/sampling.js";
import { clampView, fitView, pixelAt, stagePoint, zoomView } from "../../../viewer/static/label_viewer/viewport.js";

const CATEGORIES = completeCategories([
  { index: 0, name: "background", raw: "__background__", voc: "#000000", safe: "#000000" },
  { index: 1, name: "cat", raw: "cat", voc: "#400000", safe: "#e69f00" },
  { index: 2, name: "dining table", raw: "diningtable", voc: "#c08000", safe: "#56b4e9" },
]);
const SETTINGS = {
  opacity: 0.5,
  mode: "both",
  background: "clear",
  threshold: 0,
  mark: true,
  focus: -1,
};

function random(seed) {
  return () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

function randomMap(height, width, classes, seed) {
  const next = random(seed);
  const map = {
    height,
    width,
    classes: Uint8Array.from({ length: height * width }, () => Math.floor(next() * classes)),
    confidence: Uint8Array.from({ length: height * width }, () => Math.floor(next() * 256)),
  };
  map.regions = findRegions(map.classes, height, width);
  return map;
}

test("colours go from hex to bytes, and what is none is refused", () => {
  assert.deepEqual(parseHex("#C08001"), [192, 128, 1]);
  assert.throws(() => parseHex("red"), /Not a colour: red/);
  assert.throws(() => parseHex("#12345"), /Not a colour/);
  const bytes = new Uint8Array(Uint32Array.of(packColor([1, 2, 3], 0.5)).buffer);
  assert.deepEqual([...bytes], [1, 2, 3, 128]);
});

test("indices that a card leaves out get a name and a colour", () => {
  assert.equal(CATEGORIES.length, 256);
  assert.equal(CATEGORIES[255].name, "class 255");
  assert.deepEqual(paletteColors(CATEGORIES, "safe")[1], [230, 159, 0]);
  assert.equal(backgroundIndex(CATEGORIES), 0);
  assert.equal(backgroundIndex(completeCategories([{ index: 0, name: "road" }])), -1);
});

test("regions are those of a flood fill, with their areas and boxes", () => {
  for (const [height, width, classes, seed] of [
    [1, 1, 2, 1],
    [1, 40, 2, 2],
    [40, 1, 2, 3],
    [23, 31, 2, 4],
    [48, 64, 3, 5],
  ]) {
    const map = randomMap(height, width, classes, seed);
    const seen = new Int32Array(height * width).fill(-1);
    let count = 0;
    for (let start = 0; start < seen.length; start++) {
      if (seen[start] >= 0) continue;
      const id = count++;
      const region = regionAt(map.regions, Math.floor(start / width), start % width);
      const stack = [start];
      let area = 0;
      const box = [height, width, 0, 0];
      seen[start] = id;
      while (stack.length) {
        const at = stack.pop();
        const y = Math.floor(at / width);
        const x = at % width;
        area++;
        box[0] = Math.min(box[0], y);
        box[1] = Math.min(box[1], x);
        box[2] = Math.max(box[2], y + 1);
        box[3] = Math.max(box[3], x + 1);
        assert.equal(regionAt(map.regions, y, x), region);
        for (const [dy, dx] of [
          [0, 1],
          [1, 0],
          [0, -1],
          [-1, 0],
        ]) {
          const [ny, nx] = [y + dy, x + dx];
          const to = ny * width + nx;
          if (ny < 0 || nx < 0 || ny >= height || nx >= width) continue;
          if (seen[to] >= 0 || map.classes[to] !== map.classes[at]) continue;
          seen[to] = id;
          stack.push(to);
        }
      }
      assert.equal(map.regions.areas[region], area);
      assert.deepEqual([...map.regions.boxes.subarray(region * 4, region * 4 + 4)], box);
    }
    assert.equal(map.regions.count, count);
    const region = regionAt(map.regions, 0, 0);
    assert.equal(map.regions.classes[region], map.classes[0]);
  }
});

test("the screen takes the nearest pixel, and nothing outside the photo", () => {
  const map = randomMap(7, 9, 3, 6);
  for (const view of [
    { scale: 1, top: 0, left: 0 },
    { scale: 3.7, top: -4.2, left: -9.9 },
    { scale: 0.5, top: 3, left: 2 },
  ]) {
    const screen = sampleScreen(makeScreen(12, 15), map, view);
    for (let i = 0; i < 12; i++) {
      for (let j = 0; j < 15; j++) {
        const y = Math.floor((i + 0.5 - view.top) / view.scale);
        const x = Math.floor((j + 0.5 - view.left) / view.scale);
        const inside = y >= 0 && x >= 0 && y < 7 && x < 9;
        const at = i * 15 + j;
        assert.equal(screen.classes[at], inside ? map.classes[y * 9 + x] : OUTSIDE);
        assert.equal(screen.regions[at], inside ? regionAt(map.regions, y, x) + 1 : 0);
        if (inside) assert.equal(screen.confidence[at], map.confidence[y * 9 + x]);
      }
    }
  }
});

/** Every class is a group of its own, the higher index is the inside; nothing is hidden. */
const GROUPS = Uint16Array.from({ length: CODES }, (_, i) => (i === OUTSIDE ? NO_GROUP : i));

test("lines are light inside and dark outside, never at the photo's border", () => {
  const map = { height: 4, width: 6, classes: new Uint8Array(24), confidence: new Uint8Array(24) };
  for (let y = 0; y < 4; y++) map.classes.fill(1, y * 6 + 3, y * 6 + 6);
  map.regions = findRegions(map.classes, 4, 6);
  const screen = sampleScreen(makeScreen(6, 8), map, { scale: 1, top: 1, left: 1 });
  const edges = findEdges(screen, 1, GROUPS);
  for (let y = 0; y < 6; y++) {
    const row = [...edges.subarray(y * 8, y * 8 + 8)];
    assert.deepEqual(row, y === 0 || y === 5 ? Array(8).fill(0) : [0, 0, 0, 2, 1, 0, 0, 0]);
  }
  // With strips of colour, on the side that is drawn at all.
  assert.deepEqual([...findEdges(screen, 1, GROUPS, true).subarray(8, 16)], [0, 0, 0, 2, 1, 3, 3, 0]);
  // Two groups that are not drawn have no line between them.
  const none = GROUPS.map((group) => (group === NO_GROUP ? group : 0));
  assert.ok(findEdges(screen, 1, none).every((edge) => edge === 0));
});

test("lines with a reach of one are exactly the pixels with a different neighbour", () => {
  const map = randomMap(20, 30, 2, 7);
  const screen = sampleScreen(makeScreen(20, 30), map, { scale: 1, top: 0, left: 0 });
  const edges = findEdges(screen, 1, GROUPS);
  for (let y = 0; y < 20; y++) {
    for (let x = 0; x < 30; x++) {
      const own = map.classes[y * 30 + x];
      const differs = [
        [0, 1],
        [1, 0],
        [0, -1],
        [-1, 0],
      ].some(([dy, dx]) => {
        const [ny, nx] = [y + dy, x + dx];
        if (ny < 0 || nx < 0 || ny >= 20 || nx >= 30) return false;
        return map.classes[ny * 30 + nx] !== own;
      });
      assert.equal(edges[y * 30 + x], differs ? (own ? 1 : 2) : 0);
    }
  }
});

/** WCAG's contrast of two sRGB colours. */
function contrast(one, two) {
  const light = (rgb) => {
    const [r, g, b] = rgb
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

test("a line stands out from any photo and any fill, on one of its sides at least", () => {
  const photos = [[0, 0, 0], [255, 255, 255], [128, 128, 128], [200, 30, 30], [30, 160, 60]];
  photos.push([30, 60, 200], [235, 200, 170], [120, 170, 230]);
  for (const mode of ["both", "contour"]) {
    for (const photo of photos) {
      const out = paint(ROW, { mode, opacity: 0.6 });
      const seen = [...out].map((value) => {
        const [r, g, b, a] = new Uint8Array(Uint32Array.of(value).buffer);
        return [r, g, b].map((part, i) => (part * a + photo[i] * (255 - a)) / 255);
      });
      // Pixel 1 is the dark side of the line, 2 the light one; 0 is photo, 3 fill or photo.
      const best = (beside) => Math.max(contrast(seen[1], beside), contrast(seen[2], beside));
      assert.ok(best(photo) >= 3.5, `${mode} on ${photo}: ${best(photo)}`);
      assert.ok(best(seen[3]) >= 3.5, `${mode} on ${photo}, fill: ${best(seen[3])}`);
      assert.ok(contrast(seen[1], seen[2]) >= 10);
    }
  }
});

test("specks of background inside one class take its colour, faintly; real holes stay", () => {
  const [height, width] = [40, 50];
  const map = { height, width, classes: new Uint8Array(2000), confidence: new Uint8Array(2000) };
  const put = (value, top, left, bottom, right) => {
    for (let y = top; y < bottom; y++) map.classes.fill(value, y * width + left, y * width + right);
  };
  put(1, 5, 5, 35, 45);
  put(2, 5, 30, 35, 45);
  put(0, 10, 10, 12, 13); // six pixels wholly inside class 1
  put(0, 20, 29, 22, 31); // between 1 and 2
  put(0, 25, 10, 33, 20); // inside, but eighty pixels
  put(0, 5, 20, 7, 22); // joined to the outside
  map.regions = findRegions(map.classes, height, width);
  const found = findSpecks(map.regions, 0, height, width);
  const specks = (y, x) => found.specks[regionAt(map.regions, y, x)];
  assert.equal(specks(10, 10), 2);
  for (const [y, x] of [[20, 29], [28, 15], [5, 20], [0, 0], [6, 6]]) assert.equal(specks(y, x), 0);
  const owner = regionAt(map.regions, 6, 6);
  assert.equal(found.owners[regionAt(map.regions, 11, 12)], owner);
  assert.equal(found.owners[owner], owner);
  Object.assign(map, found);
  const out = paint(map, { mode: "both" });
  const fill = packColor([230, 159, 0], 0.5);
  assert.equal(out[11 * width + 11], packColor([230, 159, 0], 0.25));
  assert.equal(out[9 * width + 11], fill); // no line around a speck
  assert.equal(out[28 * width + 15], 0);
  assert.notEqual(out[24 * width + 15], fill); // a line around a hole
  assert.equal(paint(map, { mode: "both" }, new Set([1]))[11 * width + 11], 0);
  assert.ok(findSpecks(map.regions, -1, height, width).specks.every((n) => !n));
});

function paint(map, settings, hidden = new Set()) {
  const screen = sampleScreen(makeScreen(map.height, map.width), map, {
    scale: 1,
    top: 0,
    left: 0,
  });
  const colors = paletteColors(CATEGORIES, "safe");
  const style = makeStyle({ ...SETTINGS, ...settings }, colors, hidden, 0);
  if (style.contour) findEdges(screen, 1, style.groups, style.band);
  const out = new Uint32Array(map.height * map.width);
  paintLabels(out, screen, style, 2);
  return out;
}

const ROW = {
  height: 1,
  width: 6,
  classes: Uint8Array.from([0, 0, 1, 1, 1, 2]),
  confidence: Uint8Array.from([255, 255, 128, 127, 10, 255]),
};
ROW.regions = findRegions(ROW.classes, 1, 6);

test("fill, contour and both", () => {
  const cat = packColor([230, 159, 0], 0.5);
  const strip = packColor([230, 159, 0], contourAlpha(0.5));
  const table = packColor([86, 180, 233], 0.5);
  const light = packColor([255, 255, 255], contourAlpha(0.5));
  const dark = packColor([15, 23, 42], contourAlpha(0.5));
  assert.deepEqual([...paint(ROW, { mode: "fill" })], [0, 0, cat, cat, cat, table]);
  assert.deepEqual([...paint(ROW, { mode: "both" })], [0, dark, light, cat, dark, light]);
  assert.deepEqual([...paint(ROW, { mode: "contour" })], [0, dark, light, strip, dark, light]);
  assert.equal(contourAlpha(0), 0);
  assert.equal(contourAlpha(1), 1);
});

test("a hidden class and a clear background leave the photo alone, a dimmed one darkens", () => {
  const out = paint(ROW, { mode: "fill", background: "dimmed" }, new Set([1]));
  assert.ok(out[0] >>> 24 > 100);
  assert.deepEqual([...out.subarray(2, 5)], [0, 0, 0]);
  assert.deepEqual([...paint(ROW, { opacity: 0, mode: "both" })], [0, 0, 0, 0, 0, 0]);
});

test("a class that is pointed at keeps its strength, the others fade", () => {
  const out = paint(ROW, { mode: "fill", focus: 1 });
  assert.equal(out[2] >>> 24, 128);
  assert.equal(out[5] >>> 24, 32);
});

test("pixels below the threshold are hatched, those at it are not", () => {
  assert.equal(unsureLevel(0), 0);
  assert.equal(unsureLevel(100), 255);
  assert.equal(unsureLevel(50), 128);
  const plain = paint(ROW, { mode: "fill" });
  const out = paint(ROW, { mode: "fill", threshold: 50 });
  const changed = [...out].map((value, i) => value !== plain[i]);
  assert.deepEqual(changed, [false, false, false, true, true, false]);
  const hidden = paint(ROW, { mode: "fill", threshold: 50 }, new Set([1]));
  assert.deepEqual([...hidden.subarray(2, 5)], [0, 0, 0]);
});

test("pixels that may be several classes are drawn through mist, the others as they are", () => {
  const map = { ...ROW, setSizes: Uint8Array.from([1, 2, 1, 3, 1, 1]) };
  const plain = paint(ROW, { mode: "fill" });
  const out = paint(map, { mode: "fill" });
  const changed = [...out].map((value, i) => value !== plain[i]);
  assert.deepEqual(changed, [false, true, false, true, false, false]);
  const [red, green, blue, alpha] = new Uint8Array(Uint32Array.of(out[3]).buffer);
  // 0.65 of the light mist and 0.35 of the class's colour (230, 159, 0), at 0.9 of the opacity.
  assert.deepEqual([red, green, blue, alpha], [237, 215, 162, Math.round(0.45 * 255)]);
  assert.deepEqual([...paint(map, { mode: "fill", mark: false })], [...plain]);
  assert.deepEqual([...paint(map, { mode: "fill", opacity: 0 })], [0, 0, 0, 0, 0, 0]);
  const hidden = paint(map, { mode: "fill" }, new Set([0, 1]));
  assert.deepEqual([...hidden.subarray(0, 5)], [0, 0, 0, 0, 0]);
  // A threshold of one's own is hatched instead.
  const hatched = paint(map, { mode: "fill", threshold: 50 });
  assert.deepEqual([hatched[1], hatched[4] === plain[4]], [0, false]);
});

test("sets in words, and how many pixels may be several things", () => {
  assert.equal(setInWords(["dog"]), "dog");
  assert.equal(setInWords(["dog", "cat"]), "dog, or maybe cat");
  assert.equal(setInWords(["dog", "cat", "cow"]), "dog, or maybe cat or cow");
  assert.equal(countSeveral(null), 0);
  assert.equal(countSeveral(Uint8Array.from([1, 2, 3, 1])), 2);
  const doubt = "The model knows 20 things. It is unsure about most of this photo.";
  assert.equal(doubtInWords(0.51, 20), doubt);
  assert.equal(doubtInWords(0.5, 20), "");
  assert.equal(doubtInWords(NaN, 20), "");
});

test("the outline is light inside, dark outside, and only around its region", () => {
  const map = { height: 5, width: 5, classes: new Uint8Array(25), confidence: new Uint8Array(25) };
  for (const at of [6, 7, 8, 11, 12, 13, 16, 17, 18]) map.classes[at] = 1;
  map.regions = findRegions(map.classes, 5, 5);
  const screen = sampleScreen(makeScreen(5, 5), map, { scale: 1, top: 0, left: 0 });
  const out = new Uint32Array(25);
  const box = { top: 0, left: 0, bottom: 5, right: 5 };
  paintOutline(out, screen, regionAt(map.regions, 2, 2), box, 1);
  const letters = [...out].map((value) => (value === 0 ? "." : value & 128 ? "L" : "d")).join("");
  assert.equal(letters.match(/.{5}/g).join(" "), ".ddd. dLLLd dL.Ld dLLLd .ddd.");
});

test("areas, means and unsure counts are those of the pixels", () => {
  const map = randomMap(30, 40, 5, 9);
  const counts = countLevels(map.classes, map.confidence);
  const areas = measureAreas(counts);
  const wanted = [0, 1, 2, 3, 4].map((index) => {
    const levels = [...map.confidence].filter((_, i) => map.classes[i] === index);
    return { index, pixels: levels.length, mean: levels.reduce((a, b) => a + b) / levels.length };
  });
  wanted.sort((a, b) => b.pixels - a.pixels);
  assert.deepEqual(
    areas.map((area) => area.index),
    wanted.map((area) => area.index),
  );
  areas.forEach((area, i) => {
    assert.equal(area.pixels, wanted[i].pixels);
    assert.ok(Math.abs(area.confidence - wanted[i].mean / 255) < 1e-9);
    assert.ok(Math.abs(area.fraction - wanted[i].pixels / 1200) < 1e-12);
  });
  const below = [...map.confidence].filter((level) => level < 77).length;
  assert.equal(countUnsure(counts, 77), below);
});

const areasOf = (...fractions) =>
  fractions.map(([index, fraction]) => ({ index, fraction, pixels: 1000 * fraction }));

test("the photo is told in a sentence, without specks and without counting", () => {
  const categories = completeCategories(
    ["background", "sofa", "dog", "cat", "person", "aeroplane", "chair"].map((name, index) => ({
      index,
      name,
      raw: name,
    })),
  );
  const say = (...fractions) => describePhoto(areasOf(...fractions), categories, 0);
  assert.equal(say([1, 0.38], [2, 0.24], [3, 0.21], [0, 0.17]), "A sofa, a dog and a cat.");
  assert.equal(say([0, 0.52], [4, 0.475], [1, 0.003]), "A person, on about half of the picture.");
  assert.equal(say([0, 0.95], [5, 0.05]), "An aeroplane, on a small part of the picture.");
  assert.equal(say([0, 0.6], [3, 0.3], [2, 0.1]), "A cat and a dog.");
  assert.equal(say([0, 1]), "Nothing that the model knows.");
  assert.equal(say([0, 0.995], [3, 0.005]), "Nothing large that the model knows.");
  const many = [1, 2, 3, 4, 5].map((index) => [index, 0.2]);
  assert.equal(say(...many), "A sofa, a dog, a cat, a person and one more thing.");
  assert.equal(say(...many, [6, 0.1]), "A sofa, a dog, a cat, a person and 2 more things.");
});

test("parts and confidences in words, and no share is rounded to nothing", () => {
  assert.equal(partInWords(0.48), "about half of the picture");
  assert.equal(partInWords(0.17), "about a sixth of the picture");
  assert.equal(partInWords(0.99), "almost the whole picture");
  assert.equal(partInWords(0.02), "a small part of the picture");
  assert.deepEqual([0.95, 0.8, 0.6, 0.3].map(sureInWords), [
    "sure",
    "fairly sure",
    "not so sure",
    "unsure",
  ]);
  assert.equal(percent(0.999), ">99 %");
  assert.equal(percent(0.004), "<1 %");
  assert.equal(percent(1), "100 %");
  assert.equal(percent(0), "0 %");
  assert.equal(percent(0.1234, 1), "12.3 %");
});

test("how sure: every shown pixel has its confidence's colour, lighter the surer", () => {
  const map = { ...ROW, confidence: Uint8Array.from([0, 64, 128, 192, 255, 255]) };
  const out = paint(map, { mode: "fill", show: "sure", opacity: 1 });
  const rgb = (value) => [...new Uint8Array(Uint32Array.of(value).buffer)].slice(0, 3);
  const light = [...out].map((value) => contrast(rgb(value), [0, 0, 0]));
  assert.deepEqual(rgb(out[0]), [68, 1, 84]);
  assert.deepEqual(rgb(out[4]), [253, 231, 37]);
  for (let i = 0; i < 4; i++) assert.ok(light[i] < light[i + 1]);
  assert.equal(out[4], out[5]); // whatever the class
  const hiding = paint(map, { mode: "fill", show: "sure", opacity: 1 }, new Set([1]));
  assert.deepEqual([...hiding.subarray(2, 5)], [0, 0, 0]);
  // Even steps of confidence are even steps of lightness, up or down by a third.
  const cielab = (value) => 116 * Math.cbrt((contrast(rgb(value), [0, 0, 0]) - 1) * 0.05) - 16;
  const steps = Array.from({ length: 9 }, (_, i) => packColor(sureColor(i / 8), 1)).map(cielab);
  for (let i = 0; i < 8; i++) assert.ok(Math.abs(steps[i + 1] - steps[i] - 9.5) < 3.5);
});

test("a map without sets calls pixels below one half unsure", () => {
  assert.deepEqual([...guessSets(Uint8Array.from([0, 127, 128, 255]))], [2, 2, 1, 1]);
});

test("tables carry raw names, and CSV quotes what needs it", () => {
  const rows = tableRows([{ index: 2, pixels: 5, fraction: 0.25, confidence: 0.5 }], CATEGORIES);
  assert.deepEqual(rows, [
    { index: 2, name: "diningtable", pixels: 5, fraction: 0.25, confidence: 0.5 },
  ]);
  const odd = [{ ...rows[0], name: 'a "b", c' }];
  assert.equal(
    toCsv(odd),
    'index,name,pixels,fraction,confidence\r\n2,"a ""b"", c",5,0.25,0.5\r\n',
  );
});

test("views: fit, zoom around a point, limits, and pixels there and back", () => {
  const fit = fitView(100, 200, 300, 300);
  assert.deepEqual(fit, { scale: 1.5, top: 75, left: 0 });
  const near = zoomView(fit, 4, 120, 90);
  const before = pixelAt(fit, 120, 90, 100, 200);
  assert.deepEqual(pixelAt(near, 120, 90, 100, 200), before);
  assert.deepEqual(clampView({ scale: 0.1, top: 9, left: 9 }, 100, 200, 300, 300), fit);
  const clamped = clampView({ scale: 3, top: 50, left: -9999 }, 100, 200, 300, 300);
  assert.deepEqual(clamped, { scale: 3, top: 0, left: -300 });
  assert.equal(clampView({ scale: 999, top: 0, left: 0 }, 100, 200, 300, 300).scale, 40);
  const at = stagePoint(near, 30, 60);
  assert.deepEqual(pixelAt(near, at.y, at.x, 100, 200), { y: 30, x: 60 });
  assert.equal(pixelAt(fit, 10, 10, 100, 200), null);
});

test("a pixel is read with its names, and never called wholly certain", () => {
  const map = {
    width: 2,
    categories: CATEGORIES,
    classes: [0, 2],
    confidence: [255, 100],
    runnerUp: [1, 0],
  };
  const table = readPixel(map, 0, 1, 128);
  assert.deepEqual(
    [table.index, table.name, table.runnerUp, table.unsure],
    [2, "dining table", "everything else", true],
  );
  assert.equal(percent(table.confidence), "39 %");
  assert.equal(percent(readPixel(map, 0, 0, 128).confidence), ">99 %");
});

test("a pixel that may be several classes is read with all that the map knows of", () => {
  const map = {
    width: 4,
    categories: CATEGORIES,
    classes: [1, 1, 1, 1],
    confidence: [255, 100, 100, 100],
    runnerUp: [2, 2, 2, 2],
    setSizes: [1, 2, 3, 5],
  };
  const words = [0, 1, 2, 3].map((x) => readPixel(map, 0, x, 0).words);
  assert.deepEqual(words, [
    "cat",
    "cat, or maybe dining table",
    "cat, or maybe dining table or something else",
    "cat, or maybe dining table or something else",
  ]);
  assert.deepEqual(
    [0, 1].map((x) => readPixel(map, 0, x, 0).unsure),
    [false, true],
  );
  // With a threshold of one's own the confidence decides.
  assert.deepEqual(
    [0, 1].map((x) => readPixel(map, 0, x, 50).unsure),
    [false, false],
  );
});

test("hidden classes go by name: toggle, isolate, all back, and never a blank photo", () => {
  const areas = [{ index: 0 }, { index: 1 }, { index: 2 }];
  const map = { categories: CATEGORIES, areas };
  const hidden = new HiddenClasses();
  hidden.toggle(map, 1);
  assert.deepEqual([...hidden.indices(CATEGORIES)], [1]);
  hidden.toggle(map, 1);
  assert.equal(hidden.names.size, 0);
  hidden.isolate(map, 2);
  assert.deepEqual([...hidden.names].sort(), ["__background__", "cat"]);
  hidden.isolate(map, 2);
  assert.equal(hidden.names.size, 0);
  hidden.isolate(map, 2);
  // The next photo holds nothing but a hidden class: it is shown.
  hidden.showIfAllHidden({ categories: CATEGORIES, areas: [{ index: 1 }] });
  assert.deepEqual([...hidden.names], ["__background__"]);
  hidden.showAll();
  assert.equal(hidden.indices(CATEGORIES).size, 0);
});
