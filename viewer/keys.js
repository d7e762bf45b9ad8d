// Keys on the stage: zoom, pan, and the pin.

import { stagePoint } from "./view.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const PAN_PART = 0.1;
/** How much a key press or a click on a button magnifies. */
export const ZOOM_STEP = 1.5;

/** What the keys do, for screen readers. */
export const KEYS_IN_WORDS =
  "Enter pins the pixel in the middle, arrow keys move the pin by one pixel, with Shift by ten, " +
  "Escape removes it. Plus and minus zoom, 0 shows the whole photo.";

/** Zoom around the pin where there is one, else around the middle. */
function zoomAround(stage, pin, factor) {
  const at = pin.at && stagePoint(stage.view, pin.at.y, pin.at.x);
  if (at) stage.zoom(factor, at.y, at.x);
  else stage.zoom(factor);
}

/** An arrow moves the pin; without one it moves the view. */
function followArrow(stage, pin, [down, right], step) {
  if (pin.at) pin.move(down * step, right * step);
  else stage.pan(-down * stage.height * PAN_PART, -right * stage.width * PAN_PART);
}

function pinMiddle(stage, pin) {
  const middle = stage.pixelAt(stage.height / 2, stage.width / 2);
  if (middle) pin.set(middle.y, middle.x);
}

/**
 * Listen to keys while the stage itself has the focus.
 * @param {HTMLElement} box
 * @param {import("./stage.js").Stage} stage
 * @param {import("./pin.js").Pin} pin
 */
export function listenToKeys(box, stage, pin) {
  const actions = {
    "+": () => zoomAround(stage, pin, ZOOM_STEP),
    "=": () => zoomAround(stage, pin, ZOOM_STEP),
    "-": () => zoomAround(stage, pin, 1 / ZOOM_STEP),
    _: () => zoomAround(stage, pin, 1 / ZOOM_STEP),
    0: () => stage.fit(),
    Enter: () => pinMiddle(stage, pin),
    " ": () => pinMiddle(stage, pin),
    Escape: () => pin.remove(),
  };
  for (const [key, way] of Object.entries(ARROWS)) {
    actions[key] = (event) => followArrow(stage, pin, way, event.shiftKey ? 10 : 1);
  }
  box.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || !stage.map || event.target !== box) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Without a pin, Escape is left to whoever else waits for it.
    if (event.key === "Escape" && !pin.at) return;
    action(event);
    event.preventDefault();
  });
}
