// What the viewer adds to a decoded label map.

import { findSpecks } from "../shared/regions.js";
import { countSeveral, guessSets } from "../shared/statistics.js";

/**
 * Add what is found once and read often: what may be several classes, where the model's figures do
 * not say so, and the specks of background inside classes.
 * @param {object} map gets setSizes and several where they are missing, specks and owners
 */
export function completeMap(map) {
  if (!map.setSizes) {
    map.setSizes = guessSets(map.confidence);
    map.several = countSeveral(map.setSizes);
  }
  Object.assign(map, findSpecks(map.regions, map.background, map.height, map.width));
}
