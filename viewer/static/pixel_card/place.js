// Where the card of a pixel goes: beside the pixel on a stage, never on it.

const CARD_GAP = 22; // the ring around a pinned pixel, and a little air
const RIM = 8;

/**
 * A place beside a point that leaves it uncovered and stays on the stage.
 * @param {{y: number, x: number}} at the point on the stage
 * @param {{height: number, width: number}} card its size
 * @param {{height: number, width: number}} stage
 * @returns {{top: number, left: number, height: number, width: number, whole: boolean}} on the
 *   stage; smaller than the card, and not whole, where the stage leaves less room than it wants
 */
export function placeBeside(at, card, stage) {
  const most = { height: stage.height - 2 * RIM, width: stage.width - 2 * RIM };
  const height = Math.min(card.height, most.height);
  const width = Math.min(card.width, most.width);
  const free = {
    right: stage.width - at.x - CARD_GAP - RIM,
    left: at.x - CARD_GAP - RIM,
    below: stage.height - at.y - CARD_GAP - RIM,
    above: at.y - CARD_GAP - RIM,
  };
  const clamp = (value, size, room) => Math.min(Math.max(RIM, value), room - size - RIM);
  const top = clamp(at.y - height / 3, height, stage.height);
  const left = clamp(at.x - width / 2, width, stage.width);
  const sides = at.x < stage.width / 2 ? ["right", "left"] : ["left", "right"];
  for (const side of sides) {
    if (free[side] < width) continue;
    const beyond = side === "right" ? CARD_GAP : -CARD_GAP - width;
    return { top, left: at.x + beyond, height, width, whole: height === card.height };
  }
  for (const side of ["below", "above"]) {
    if (free[side] < height) continue;
    const beyond = side === "below" ? CARD_GAP : -CARD_GAP - height;
    return { top: at.y + beyond, left, height, width, whole: width === card.width };
  }
  // Nowhere whole: where most of it fits, scrolling inside or narrower.
  const across = ["right", "left"];
  const part = (side) => free[side] / (across.includes(side) ? width : height);
  const [side] = Object.keys(free).sort((a, b) => part(b) - part(a));
  const room = Math.max(0, free[side]);
  const place = { top, left, height, width, whole: false };
  if (across.includes(side)) {
    return { ...place, left: side === "right" ? at.x + CARD_GAP : RIM, width: room };
  }
  return { ...place, top: side === "below" ? at.y + CARD_GAP : RIM, height: room };
}
