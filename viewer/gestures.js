// Mouse, touch and pen on the stage, told as what a person means: look, pin, pan, zoom.

const STILL = 5;
const DOUBLE_MS = 320;
const DOUBLE_REACH = 32;

/**
 * Listen to the stage.
 * @param {HTMLElement} box
 * @param {{look: (y: number, x: number, touch: boolean) => void, leave: () => void,
 *   pin: (y: number, x: number) => void, pan: (down: number, right: number) => void,
 *   zoom: (factor: number, y: number, x: number, down?: number, right?: number) => void,
 *   canZoomOut: () => boolean, toggleZoom: (y: number, x: number) => void}} act all in CSS pixels
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
  const ours = (event) => !event.target.closest(".pw-divider, .pw-empty, .pw-veil");

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
    if (again) act.toggleZoom(at.y, at.x);
    else act.pin(at.y, at.x);
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
      if (event.pointerType !== "mouse") act.look(at.y, at.x, true);
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
    } else if (event.pointerType === "mouse") {
      if (moved) act.pan(at.y - held.y, at.x - held.x);
      down.set(event.pointerId, { ...held, ...at });
    } else {
      act.look(at.y, at.x, true);
    }
  });

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
      // Scrolling on below a photo that is already whole must not get stuck on it.
      if (!ours(event) || (event.deltaY > 0 && !act.canZoomOut())) return;
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 240 : 1;
      const step = Math.max(-240, Math.min(240, event.deltaY * unit));
      const at = place(event);
      act.zoom(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.002)), at.y, at.x);
    },
    { passive: false },
  );
}
