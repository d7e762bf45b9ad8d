// The mask painter: a canvas over the photo. A closed outline is filled.

const box = element.querySelector(".cl-painter");
const photo = box.querySelector("img");
const canvas = box.querySelector("canvas");
const paint = canvas.getContext("2d", { willReadFrequently: true });
const button = (name) => box.querySelector("[data-act=" + name + "]");
const COLOR = "#0d9488";
const MAX_UNDO = 20;
const MAX_GAP = 0.06; // of the longer side; an outline with a smaller gap counts as closed
const MIN_OUTLINE = 0.5; // of the longer side; a shorter stroke is not an outline

let tool = "paint";
let stroke = null;
let shown = "";
const past = [];

const side = () => Math.max(canvas.width, canvas.height);

function updateButtons() {
  for (const name of ["undo", "clear", "grade"]) button(name).disabled = past.length === 0;
}

function position(event) {
  const rect = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - rect.left) / rect.width) * canvas.width,
    y: ((event.clientY - rect.top) / rect.height) * canvas.height,
  };
}

function saveUndo() {
  past.push(paint.getImageData(0, 0, canvas.width, canvas.height));
  if (past.length > MAX_UNDO) past.shift();
}

function setBrush() {
  paint.globalCompositeOperation = tool === "paint" ? "source-over" : "destination-out";
  paint.strokeStyle = paint.fillStyle = COLOR;
  paint.lineCap = paint.lineJoin = "round";
  paint.lineWidth = (Number(box.querySelector(".cl-width").value) / 100) * side();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button > 0 || box.dataset.state === "empty") return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  saveUndo();
  setBrush();
  stroke = { points: [position(event)], length: 0 };
  const { x, y } = stroke.points[0];
  paint.beginPath();
  paint.arc(x, y, paint.lineWidth / 2, 0, 7);
  paint.fill();
  updateButtons();
});

canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  const last = stroke.points.at(-1);
  const next = position(event);
  stroke.length += Math.hypot(next.x - last.x, next.y - last.y);
  stroke.points.push(next);
  paint.beginPath();
  paint.moveTo(last.x, last.y);
  paint.lineTo(next.x, next.y);
  paint.stroke();
});

function finish() {
  if (!stroke) return;
  const { points, length } = stroke;
  stroke = null;
  const [first, last] = [points[0], points.at(-1)];
  const gap = Math.hypot(first.x - last.x, first.y - last.y);
  if (length < MIN_OUTLINE * side() || gap > MAX_GAP * side() + paint.lineWidth) return;
  paint.beginPath();
  for (const { x, y } of points) paint.lineTo(x, y);
  paint.closePath();
  paint.fill();
}
canvas.addEventListener("pointerup", finish);
canvas.addEventListener("pointercancel", finish);

box.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  if (pressed.dataset.tool) {
    tool = pressed.dataset.tool;
    for (const other of box.querySelectorAll("[data-tool]")) {
      other.setAttribute("aria-pressed", String(other === pressed));
    }
  } else if (pressed.dataset.act === "undo") {
    paint.putImageData(past.pop(), 0, 0);
  } else if (pressed.dataset.act === "clear") {
    saveUndo();
    paint.clearRect(0, 0, canvas.width, canvas.height);
  } else if (pressed.dataset.act === "grade") {
    trigger("submitted", { paint: canvas.toDataURL("image/png") });
  }
  updateButtons();
});

function show() {
  const value = props.value;
  if (!value) {
    box.dataset.state = "empty";
    shown = "";
    return;
  }
  if (value.id === shown) return;
  shown = value.id;
  box.dataset.state = "ready";
  [canvas.height, canvas.width] = value.size;
  photo.src = value.photo;
  past.length = 0;
  updateButtons();
}

watch("value", show);
show();
