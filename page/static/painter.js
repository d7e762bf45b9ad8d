// The painter: a canvas over the photo. A closed outline is filled; a stroke paints or erases.

const box = element.querySelector(".cl-painter");
const photo = box.querySelector("img");
const canvas = box.querySelector("canvas");
const paint = canvas.getContext("2d", { willReadFrequently: true });
const button = (name) => box.querySelector("[data-act=" + name + "]");
const COLOR = "#0d9488";
const STEPS_BACK = 20;
const CLOSED = 0.06; // of the longer side: ends nearer than this close an outline
const LONG = 0.5; // of the longer side: a shorter stroke is a dab, not an outline

let tool = "paint";
let stroke = null;
let shown = "";
const past = [];

const side = () => Math.max(canvas.width, canvas.height);

function enable() {
  button("undo").disabled = past.length === 0;
  button("clear").disabled = past.length === 0;
  button("grade").disabled = past.length === 0;
}

function place(event) {
  const rect = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - rect.left) / rect.width) * canvas.width,
    y: ((event.clientY - rect.top) / rect.height) * canvas.height,
  };
}

function remember() {
  past.push(paint.getImageData(0, 0, canvas.width, canvas.height));
  if (past.length > STEPS_BACK) past.shift();
}

function brush() {
  paint.globalCompositeOperation = tool === "paint" ? "source-over" : "destination-out";
  paint.strokeStyle = paint.fillStyle = COLOR;
  paint.lineCap = paint.lineJoin = "round";
  paint.lineWidth = (Number(box.querySelector(".cl-width").value) / 100) * side();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button > 0 || box.dataset.state === "empty") return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  remember();
  brush();
  stroke = { points: [place(event)], length: 0 };
  const { x, y } = stroke.points[0];
  paint.beginPath();
  paint.arc(x, y, paint.lineWidth / 2, 0, 7);
  paint.fill();
  enable();
});

canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  const last = stroke.points.at(-1);
  const next = place(event);
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
  if (length < LONG * side() || gap > CLOSED * side() + paint.lineWidth) return;
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
    remember();
    paint.clearRect(0, 0, canvas.width, canvas.height);
  } else if (pressed.dataset.act === "grade") {
    trigger("submitted", { paint: canvas.toDataURL("image/png") });
  }
  enable();
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
  enable();
}

watch("value", show);
show();
