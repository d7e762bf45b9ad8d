// Mouse, touch and pen on the stage, told as what a person means: look, pin, pan, zoom.

import { stagePoint } from "./viewport.js";

const STILL = 5;
const DOUBLE_MS = 320;
const DOUBLE_REACH = 32;

/**
 * Listen to the stage.
 * @param {HTMLElement} box
 * @param {{look: (y: number, x: number, touch: boolean) => void, leave: () => void,
 *   pin: (y: number, x: number) => void, unpin: () => void,
 *   pan: (down: number, right: number) => void,
 *   zoom: (factor: number, y: number, x: number, down?: number, right?: number) => void,
 *   isZoomed: () => boolean, toggleZoom: (y: number, x: number) => void}} act all in CSS pixels
 *   of the stage
 */
export function listenToPointers(box, act) {
  const down = new Map();
  let moved = false;
  let pinching = false;
  let lastTap = null;

  const place = (event) => {
    const rect = box.getBoundingClientRect();
    return { y: event.clientY - rect.top, x: event.clientX - rect.left };
  };
  const ours = (event) => !event.target.closest(".pw-divider, .pw-empty, .pw-overlay");

  /** Go on hearing a pointer that leaves the stage; one that a script made up cannot be held. */
  const hold = (pointerId) => {
    try {
      box.setPointerCapture(pointerId);
    } catch {
      // It is heard while it stays on the stage.
    }
  };

  const tap = (event, at) => {
    const again =
      lastTap &&
      event.timeStamp - lastTap.time < DOUBLE_MS &&
      Math.hypot(at.y - lastTap.y, at.x - lastTap.x) < DOUBLE_REACH;
    lastTap = again ? null : { ...at, time: event.timeStamp };
    if (!again) {
      act.pin(at.y, at.x);
      return;
    }
    act.unpin(); // the first of two taps was no question
    act.toggleZoom(at.y, at.x);
  };

  const pinch = (event, at) => {
    const before = [...down.values()];
    down.set(event.pointerId, { ...down.get(event.pointerId), ...at });
    const after = [...down.values()];
    const spread = ([a, b]) => Math.hypot(a.y - b.y, a.x - b.x) || 1;
    const middle = ([a, b]) => ({ y: (a.y + b.y) / 2, x: (a.x + b.x) / 2 });
    const from = middle(before);
    const to = middle(after);
    act.zoom(spread(after) / spread(before), to.y, to.x, to.y - from.y, to.x - from.x);
  };

  box.addEventListener("pointerdown", (event) => {
    if (!ours(event) || (event.pointerType === "mouse" && event.button !== 0)) return;
    const at = place(event);
    down.set(event.pointerId, { ...at, startY: at.y, startX: at.x });
    hold(event.pointerId);
    if (down.size === 1) {
      moved = false;
      pinching = false;
      if (event.pointerType !== "mouse" && !act.isZoomed()) act.look(at.y, at.x, true);
    } else if (down.size === 2) {
      pinching = true;
      act.leave();
    }
  });

  box.addEventListener("pointermove", (event) => {
    const at = place(event);
    const held = down.get(event.pointerId);
    if (!held) {
      if (event.pointerType === "touch") return;
      if (ours(event)) act.look(at.y, at.x, false);
      else act.leave();
      return;
    }
    if (Math.hypot(at.y - held.startY, at.x - held.startX) > STILL) moved = true;
    if (pinching) {
      if (down.size === 2) pinch(event, at);
    } else if (event.pointerType === "mouse" || act.isZoomed()) {
      if (moved) act.pan(at.y - held.y, at.x - held.x);
      down.set(event.pointerId, { ...held, ...at });
    } else {
      act.look(at.y, at.x, true);
    }
  });

  // At 1x one finger scrolls the page (touch-action), but two never do.
  box.addEventListener(
    "touchmove",
    (event) => {
      if (event.touches.length > 1 && event.cancelable) event.preventDefault();
    },
    { passive: false },
  );

  const release = (event, cancelled) => {
    if (!down.delete(event.pointerId)) return;
    if (!cancelled && !moved && !pinching) tap(event, place(event));
    if (event.pointerType !== "mouse") act.leave();
  };
  box.addEventListener("pointerup", (event) => release(event, false));
  box.addEventListener("pointercancel", (event) => release(event, true));
  box.addEventListener("pointerleave", (event) => {
    if (!down.has(event.pointerId)) act.leave();
  });

  box.addEventListener(
    "wheel",
    (event) => {
      // The plain wheel scrolls the page; a pinch on a touchpad comes as a wheel with Ctrl.
      if (!ours(event) || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 240 : 1;
      const step = Math.max(-240, Math.min(240, event.deltaY * unit));
      const at = place(event);
      // A mouse's steps are of 100 and more, a touchpad's of a few.
      act.zoom(Math.exp(-step * (Math.abs(step) < 50 ? 0.01 : 0.002)), at.y, at.x);
    },
    { passive: false },
  );
}

// Keys on the stage: zoom, pan, and the pin.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const PAN_PART = 0.1;
/** How much a key press or a click on a button magnifies. */
export const ZOOM_STEP = 1.5;

/** What the keys do, for screen readers. */
export const KEYS_IN_WORDS =
  "Enter pins the pixel in the middle, arrow keys move the pin by one pixel, with Shift by ten, " +
  "Escape removes it, Tab goes to its card. Plus and minus zoom, 0 shows the whole photo.";

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
 * @param {import("./canvas.js").Stage} stage
 * @param {import("../pixel_card/pixel.js").Pin} pin
 * @param {import("../pixel_card/card.js").PixelCard} card Tab goes into it while it is shown
 */
export function listenToKeys(box, stage, pin, card) {
  const actions = {
    "+": () => zoomAround(stage, pin, ZOOM_STEP),
    "=": () => zoomAround(stage, pin, ZOOM_STEP),
    "-": () => zoomAround(stage, pin, 1 / ZOOM_STEP),
    _: () => zoomAround(stage, pin, 1 / ZOOM_STEP),
    0: () => stage.fit(),
    Enter: () => pinMiddle(stage, pin),
    " ": () => pinMiddle(stage, pin),
    Escape: () => pin.remove(),
    Tab: () => card.focus(),
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
    if (event.key === "Tab" && (event.shiftKey || !card.shown)) return;
    action(event);
    event.preventDefault();
  });
}
