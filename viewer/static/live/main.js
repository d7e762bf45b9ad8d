// The live camera: one frame in flight at a time, so frames are dropped and never queued.

import { decodeLabelPng } from "../shared/png.js";
import { Camera, Refused } from "./camera.js";
import { HIDDEN, LOST, UNPLUGGED, refusal } from "./camera_errors.js";
import { Overlay } from "./label_overlay.js";

const AVERAGED = 12;
const DROPPED_MS = 120;
const FIRST_SIDE = 520;
const PATIENCE_MS = 4000;

const box = element.querySelector(".lv");
const part = (name) => box.querySelector(".lv-" + name);
const camera = new Camera(part("video"));
const overlay = new Overlay(part("labels"), part("legend"));
let run = null; // the running loop's state; a stopped loop sees another object or null

const liveUrl = (name, query) => {
  const base = location.pathname.replace(/[/]?$/, "/");
  return location.origin + base + "live/" + name + "?" + new URLSearchParams(query);
};

/** Return the server's response, or throw its error message. */
async function post(name, query, body, signal) {
  const response = await fetch(liveUrl(name, query), { method: "POST", body, signal });
  if (response.ok) return response;
  const { text, detail } = await response.json().catch(() => ({}));
  const message = text || detail || "The server returned status " + response.status + ".";
  const refused = new Refused(message);
  refused.ended = response.status === 410;
  throw refused;
}

function setStatus(text, state) {
  part("status").textContent = text;
  if (state) box.dataset.state = state;
  const on = box.dataset.state === "on" || box.dataset.state === "starting";
  const start = box.dataset.state === "ended" ? "Go on" : "Start the camera";
  part("start").textContent = on ? "Stop" : start;
}

function stop(text, state = "off") {
  const ended = run;
  run = null;
  ended?.abort.abort();
  clearInterval(ended?.clock);
  if (ended?.id) navigator.sendBeacon?.(liveUrl("stop", { id: ended.id }));
  camera.close();
  overlay.clear();
  part("switch-camera").hidden = true;
  for (const name of ["fps", "latency", "network", "dropped", "left"]) part(name).textContent = "–";
  setStatus(text, state);
}

/** Show the averages of the last frames: frames a second, and time from camera to screen. */
function showTimes(own, latency, network) {
  own.frames.push({ at: performance.now(), latency, network });
  if (own.frames.length > AVERAGED) own.frames.shift();
  const { frames } = own;
  const seconds = (frames.at(-1).at - frames[0].at) / 1000;
  if (frames.length > 1 && seconds > 0) {
    part("fps").textContent = ((frames.length - 1) / seconds).toFixed(1);
  }
  const sum = (key) => frames.reduce((total, frame) => total + frame[key], 0);
  const mean = (key) => Math.round(sum(key) / frames.length);
  part("latency").textContent = mean("latency") + " ms";
  part("network").textContent = mean("network") + " ms of it";
}

async function loop(own) {
  while (run === own) {
    await camera.newFrame();
    if (run !== own) return;
    if (document.hidden || !box.offsetParent) return stop(HIDDEN, "ended");
    const taken = performance.now();
    const frame = await camera.frame(own.side);
    const response = await post("frame", { id: own.id }, frame, own.abort.signal);
    if (run !== own) return;
    if (response.status === 204) {
      part("dropped").textContent = ++own.dropped;
      const waited = taken - own.painted;
      if (waited > PATIENCE_MS) setStatus("Others are having their turn; yours comes …");
      await new Promise((resolve) => setTimeout(resolve, DROPPED_MS));
      continue;
    }
    const map = await decodeLabelPng(new Uint8Array(await response.arrayBuffer()));
    if (run !== own) return;
    overlay.paint(map);
    await new Promise(requestAnimationFrame);
    own.painted = performance.now();
    showTimes(own, own.painted - taken, parseFloat(response.headers.get("x-network-ms")));
    if (part("status").textContent) setStatus("");
  }
}

/** Show the remaining time, and stop at zero, as the server does. */
function countDown(own, seconds, text) {
  const end = performance.now() + seconds * 1000;
  own.clock = setInterval(() => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    part("left").textContent = left + " s";
    if (left === 0 && run === own) stop(text, "ended");
  }, 250);
}

async function begin(id) {
  stop("Asking for the camera …", "starting");
  const own = { abort: new AbortController(), frames: [], dropped: 0, painted: performance.now() };
  run = own;
  try {
    await camera.open(id, () => run === own && stop(UNPLUGGED));
    if (run !== own) return;
    box.dataset.mirrored = String(camera.mirrored);
    box.style.setProperty("--lv-ratio", part("video").videoWidth / part("video").videoHeight);
    setStatus("Trying which network is quick enough here …");
    const frame = await camera.frame(FIRST_SIDE);
    const model = part("model").value;
    const facts = await (await post("start", { model }, frame, own.abort.signal)).json();
    if (run !== own) return navigator.sendBeacon?.(liveUrl("stop", { id: facts.id }));
    Object.assign(own, { id: facts.id, side: facts.side, painted: performance.now() });
    overlay.use(facts);
    part("reason").textContent = facts.why;
    part("dropped").textContent = "0";
    part("switch-camera").hidden = (await camera.all()).length < 2;
    countDown(own, facts.seconds, facts.ended);
    setStatus("", "on");
    await loop(own);
  } catch (error) {
    if (run !== own) return;
    if (error instanceof Refused) stop(error.message, error.ended ? "ended" : "off");
    else if (error instanceof TypeError) stop(LOST);
    else stop(refusal(error));
  }
}

/** Switch to the next camera. */
async function switchCamera() {
  const ids = await camera.all();
  await begin(ids[(ids.indexOf(camera.id) + 1) % ids.length]);
}

part("model").append(new Option("The best that is quick enough", ""));
for (const [label, name] of props.models ?? []) part("model").append(new Option(label, name));
part("start").addEventListener("click", () => (run ? stop("") : begin(camera.id)));
part("switch-camera").addEventListener("click", switchCamera);
part("model").addEventListener("change", () => run && begin(camera.id));
part("opacity").addEventListener("input", () => {
  overlay.opacity = part("opacity").valueAsNumber / 100;
  overlay.paint();
});
part("safe").addEventListener("change", () => {
  overlay.palette = part("safe").checked ? "safe" : "voc";
  overlay.paint();
});
window.addEventListener("pagehide", () => run && stop(""));
setStatus("", "off");
