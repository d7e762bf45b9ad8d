// The photo in one sentence, and how much of it in words.

import { capital } from "./statistics.js";
import { withArticle } from "./verdict.js";

/** Smaller classes than this part of the photo are specks: no sentence names them. */
const LEAST_PART = 0.01;
const MOST_NAMED = 4;
const PARTS = [
  [0.97, "almost the whole picture"],
  [0.85, "most of the picture"],
  [0.75, "about three quarters of the picture"],
  [0.667, "about two thirds of the picture"],
  [0.5, "about half of the picture"],
  [0.333, "about a third of the picture"],
  [0.25, "about a quarter of the picture"],
  [0.2, "about a fifth of the picture"],
  [0.167, "about a sixth of the picture"],
  [0.1, "about a tenth of the picture"],
];

/** A part of the picture in words, the nearest of a few. */
export function partInWords(fraction) {
  if (fraction < 0.07) return "a small part of the picture";
  const far = ([part]) => Math.abs(Math.log(fraction / part));
  return PARTS.reduce((best, one) => (far(one) < far(best) ? one : best))[1];
}

/**
 * What is in the photo: "A sofa, a dog and a cat." It counts nothing, as two dogs side by side are
 * one region.
 * @param {{index: number, fraction: number}[]} areas from measureAreas, largest first
 * @param {{name: string}[]} categories 256 long
 * @param {number} background index, or -1
 */
export function describePhoto(areas, categories, background) {
  const things = areas.filter(({ index }) => index !== background);
  const large = things.filter(({ fraction }) => fraction >= LEAST_PART);
  if (!things.length) return "Nothing that the model knows.";
  if (!large.length) return "Nothing large that the model knows.";
  const named = large.slice(0, MOST_NAMED).map(({ index }) => withArticle(categories[index].name));
  const more = large.length - named.length;
  if (more) named.push(more === 1 ? "one more thing" : more + " more things");
  if (named.length === 1) return capital(named[0]) + ", on " + partInWords(large[0].fraction) + ".";
  return capital(named.slice(0, -1).join(", ") + " and " + named.at(-1)) + ".";
}

/** A mean confidence in words. */
export function sureInWords(confidence) {
  if (confidence >= 0.9) return "sure";
  if (confidence >= 0.75) return "fairly sure";
  return confidence >= 0.5 ? "not so sure" : "unsure";
}
