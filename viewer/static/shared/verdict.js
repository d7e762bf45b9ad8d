// How sure the model is about one pixel: one sentence, in the words of a person.

import { capital } from "./statistics.js";

const SURE = 0.9;
const GUESS = 0.5;
/** Two answers closer than this are called undecided. */
const CLOSE = 0.1;

/** A class's name with its article: "a cat", "an aeroplane". */
export function withArticle(name) {
  return (/^[aeiou]/i.test(name) ? "an " : "a ") + name;
}

/** What a class is called within a sentence; the background is no thing with a name. */
function nounOf({ name, isRest }) {
  return isRest ? "nothing that it knows" : withArticle(name);
}

/**
 * The verdict about a pixel.
 * @param {{name: string, isRest: boolean, p: number}} first the likeliest class; isRest: it is the
 *   background
 * @param {{name: string, isRest: boolean, p?: number}} second the next; p where it is known
 * @returns {{kind: "sure" | "probably" | "torn" | "unsure", text: string, more: string}} a
 *   sentence, and what else it could be
 */
export function judgePixel(first, second) {
  const noun = capital(nounOf(first));
  const other = nounOf(second);
  if (first.p >= SURE) return { kind: "sure", text: noun + ". The model is sure.", more: "" };
  if (second.p !== undefined && first.p - second.p < CLOSE && first.p + second.p >= GUESS) {
    return { kind: "torn", text: noun + " or " + other + ": it cannot decide.", more: "" };
  }
  if (first.p < GUESS) {
    const guess = first.isRest ? "nothing that it knows" : first.name;
    const text = "It does not really know. Its best guess is " + guess + ".";
    return { kind: "unsure", text, more: "" };
  }
  return { kind: "probably", text: noun + ", probably.", more: "It could be " + other + "." };
}
