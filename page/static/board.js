// One board of the classroom: shows its HTML, and answers to pointer and keys on its photos.
// The chosen pixel is one for all boards, as fractions of the photo; it lives on the document.

const box = element.querySelector(".cl-board");
const state = (document.pixelwiseClassroom ??= { pin: null });

/** The part of the plane that a frame shows, and its photo's size, in the photo's pixels. */
function measure(frame) {
  const [left, top, width, height] = frame.dataset.area.split(" ").map(Number);
  return { left, top, width, height, w: Number(frame.dataset.width), h: Number(frame.dataset.height) };
}

/** Where an event lies on a frame's photo, as fractions; null beside the photo. */
function locate(frame, event) {
  const area = measure(frame);
  const rect = frame.getBoundingClientRect();
  const x = (area.left + ((event.clientX - rect.left) / rect.width) * area.width) / area.w;
  const y = (area.top + ((event.clientY - rect.top) / rect.height) * area.height) / area.h;
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
}

/** Put a small mark of a class at a place of a frame's photo. */
function mark(frame, name, place) {
  let dot = frame.querySelector("." + name);
  if (!place) {
    dot?.remove();
    return;
  }
  if (!dot) {
    dot = document.createElement("span");
    dot.className = name;
    frame.append(dot);
  }
  const area = measure(frame);
  dot.style.left = ((place.x * area.w - area.left) / area.width) * 100 + "%";
  dot.style.top = ((place.y * area.h - area.top) / area.height) * 100 + "%";
}

const frames = (root) => root.querySelectorAll(".cl-frame[data-pick]");

function showPins() {
  for (const frame of frames(box)) mark(frame, "cl-pin", state.pin);
}

let waiting = 0;

/** Choose a pixel: every board shows it, and the server hears of it once the pointer rests. */
function pick(frame, place) {
  state.pin = place;
  document.dispatchEvent(new CustomEvent("pixelwise-pin"));
  const { w, h } = measure(frame);
  clearTimeout(waiting);
  waiting = setTimeout(
    () => trigger("pick", { y: Math.floor(place.y * h), x: Math.floor(place.x * w) }),
    60,
  );
}

box.addEventListener("click", (event) => {
  const frame = event.target.closest(".cl-frame[data-pick]");
  const place = frame && locate(frame, event);
  if (place) pick(frame, place);
});

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
box.addEventListener("keydown", (event) => {
  const frame = event.target.closest(".cl-frame[data-pick]");
  if (!frame || !STEPS[event.key]) return;
  event.preventDefault();
  const from = state.pin ?? { x: 0.5, y: 0.5 };
  const far = event.shiftKey ? 0.05 : 0.01;
  const clamp = (value) => Math.min(0.9999, Math.max(0, value));
  const [dx, dy] = STEPS[event.key];
  pick(frame, { x: clamp(from.x + dx * far), y: clamp(from.y + dy * far) });
});

/** Light up everything that belongs together. */
function light(target) {
  const link = target instanceof Element ? target.closest("[data-link]")?.dataset.link : undefined;
  for (const part of box.querySelectorAll("[data-link]")) {
    part.classList.toggle("cl-on", part.dataset.link === link);
    part.classList.toggle("cl-off", link !== undefined && part.dataset.link !== link);
  }
}
for (const type of ["pointerover", "focusin", "click"]) {
  box.addEventListener(type, (event) => light(event.target));
}
box.addEventListener("pointerleave", () => light(null));
box.addEventListener("focusout", () => light(null));

const grids = new WeakMap();

/** The name of the label at a place, from the small map that the frame carries. */
function read(frame, place) {
  if (!frame.dataset.grid) return "";
  if (!grids.has(frame)) {
    const cells = Uint8Array.from(atob(frame.dataset.grid), (letter) => letter.charCodeAt(0));
    grids.set(frame, { cells, names: JSON.parse(frame.dataset.names) });
  }
  const { cells, names } = grids.get(frame);
  const columns = Number(frame.dataset.columns);
  const rows = cells.length / columns;
  return names[cells[Math.floor(place.y * rows) * columns + Math.floor(place.x * columns)]] ?? "";
}

/** One pointer for all photos of a linked row: a ring and the label below it, in each. */
function follow(event) {
  const row = event.target.closest(".cl-linked, .cl-picker");
  const frame = event.target.closest(".cl-frame[data-pick]");
  const place = row && frame ? locate(frame, event) : null;
  for (const other of frames(row ?? box)) {
    mark(other, "cl-ring", place);
    const ring = other.querySelector(".cl-ring");
    if (ring) ring.dataset.name = read(other, place);
  }
}
box.addEventListener("pointermove", follow);
box.addEventListener("pointerleave", () => {
  for (const frame of frames(box)) mark(frame, "cl-ring", null);
});

function show() {
  box.innerHTML = props.value || "";
  for (const frame of frames(box)) frame.tabIndex = 0;
  showPins();
}

document.addEventListener("pixelwise-pin", () => {
  if (box.isConnected) showPins();
});
watch("value", show);
show();
