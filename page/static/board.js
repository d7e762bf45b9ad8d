// One board of the classroom: shows its HTML, and handles pointer and keys on its photos.
// All boards share one selected pixel, as fractions of the photo, stored on the document.

const box = element.querySelector(".cl-board");
const state = (document.pixelwiseClassroom ??= { pin: null });

/** Return the area that a frame shows, and its photo's size w x h, in pixels of the photo. */
function frameArea(frame) {
  const [left, top, width, height] = frame.dataset.area.split(" ").map(Number);
  return { left, top, width, height, w: Number(frame.dataset.width), h: Number(frame.dataset.height) };
}

/** Return an event's position on a frame's photo, as fractions; null outside the photo. */
function locate(frame, event) {
  const area = frameArea(frame);
  const rect = frame.getBoundingClientRect();
  const x = (area.left + ((event.clientX - rect.left) / rect.width) * area.width) / area.w;
  const y = (area.top + ((event.clientY - rect.top) / rect.height) * area.height) / area.h;
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
}

/** Move a frame's marker with a CSS class to a position, or remove it if that is null. */
function setMarker(frame, name, position) {
  let dot = frame.querySelector("." + name);
  if (!position) {
    dot?.remove();
    return;
  }
  if (!dot) {
    dot = document.createElement("span");
    dot.className = name;
    frame.append(dot);
  }
  const area = frameArea(frame);
  dot.style.left = ((position.x * area.w - area.left) / area.width) * 100 + "%";
  dot.style.top = ((position.y * area.h - area.top) / area.height) * 100 + "%";
}

const frames = (root) => root.querySelectorAll(".cl-frame[data-pick]");

function showPins() {
  for (const frame of frames(box)) setMarker(frame, "cl-pin", state.pin);
}

let timer = 0;

/** Select a pixel: every board shows it, and the server gets it 60 ms after the last one. */
function pick(frame, position) {
  state.pin = position;
  document.dispatchEvent(new CustomEvent("pixelwise-pin"));
  const { w, h } = frameArea(frame);
  clearTimeout(timer);
  timer = setTimeout(
    () => trigger("pick", { y: Math.floor(position.y * h), x: Math.floor(position.x * w) }),
    60,
  );
}

box.addEventListener("click", (event) => {
  const frame = event.target.closest(".cl-frame[data-pick]");
  const position = frame && locate(frame, event);
  if (position) pick(frame, position);
});

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
box.addEventListener("keydown", (event) => {
  const frame = event.target.closest(".cl-frame[data-pick]");
  if (!frame || !STEPS[event.key]) return;
  event.preventDefault();
  const from = state.pin ?? { x: 0.5, y: 0.5 };
  const step = event.shiftKey ? 0.05 : 0.01;
  const clamp = (value) => Math.min(0.9999, Math.max(0, value));
  const [dx, dy] = STEPS[event.key];
  pick(frame, { x: clamp(from.x + dx * step), y: clamp(from.y + dy * step) });
});

/** Highlight all elements with the target's data-link, and dim the others. */
function highlight(target) {
  const link = target instanceof Element ? target.closest("[data-link]")?.dataset.link : undefined;
  for (const part of box.querySelectorAll("[data-link]")) {
    part.classList.toggle("cl-on", part.dataset.link === link);
    part.classList.toggle("cl-off", link !== undefined && part.dataset.link !== link);
  }
}
for (const type of ["pointerover", "focusin", "click"]) {
  box.addEventListener(type, (event) => highlight(event.target));
}
box.addEventListener("pointerleave", () => highlight(null));
box.addEventListener("focusout", () => highlight(null));

const grids = new WeakMap();

/** Return the class name at a position, from the frame's small class map. */
function classAt(frame, position) {
  if (!frame.dataset.grid) return "";
  if (!grids.has(frame)) {
    const cells = Uint8Array.from(atob(frame.dataset.grid), (letter) => letter.charCodeAt(0));
    grids.set(frame, { cells, names: JSON.parse(frame.dataset.names) });
  }
  const { cells, names } = grids.get(frame);
  const columns = Number(frame.dataset.columns);
  const y = Math.floor((position.y * cells.length) / columns);
  return names[cells[y * columns + Math.floor(position.x * columns)]] ?? "";
}

/** Show the pointer as a ring with its class name on all photos of a linked row. */
function showRings(event) {
  const row = event.target.closest(".cl-linked, .cl-picker");
  const frame = event.target.closest(".cl-frame[data-pick]");
  const position = row && frame ? locate(frame, event) : null;
  for (const other of frames(row ?? box)) {
    setMarker(other, "cl-ring", position);
    const ring = other.querySelector(".cl-ring");
    if (ring) ring.dataset.name = classAt(other, position);
  }
}
box.addEventListener("pointermove", showRings);
box.addEventListener("pointerleave", () => {
  for (const frame of frames(box)) setMarker(frame, "cl-ring", null);
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
