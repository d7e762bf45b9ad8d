// The live camera: one frame on its way at a time, so frames are dropped and never queued.

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
let run = null; // the loop that is on; a stopped one finds another, or none

const address = (name, query) => {
  const base = location.pathname.replace(/[/]?$/, "/");
  return location.origin + base + "live/" + name + "?" + new URLSearchParams(query);
};

/** What the server answers; its sentence as an error where it refuses. */
async function ask(name, query, body, signal) {
  const answer = await fetch(address(name, query), { method: "POST", body, signal });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const text = told.text || told.detail || "The server answered " + answer.status + ".";
  const refused = new Refused(text);
  refused.ended = answer.status === 410;
  throw refused;
}

function say(text, state) {
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
  if (ended?.id) navigator.sendBeacon?.(address("stop", { id: ended.id }));
  camera.close();
  overlay.clear();
  part("switch-camera").hidden = true;
  for (const name of ["fps", "latency", "network", "dropped", "left"]) part(name).textContent = "–";
  say(text, state);
}

/** Sum up the last frames: how many a second, and how long from the camera to the screen. */
function tell(mine, latency, network) {
  mine.frames.push({ at: performance.now(), latency, network });
  if (mine.frames.length > AVERAGED) mine.frames.shift();
  const { frames } = mine;
  const seconds = (frames.at(-1).at - frames[0].at) / 1000;
  if (frames.length > 1 && seconds > 0) {
    part("fps").textContent = ((frames.length - 1) / seconds).toFixed(1);
  }
  const sum = (what) => frames.reduce((all, one) => all + one[what], 0);
  const mean = (what) => Math.round(sum(what) / frames.length);
  part("latency").textContent = mean("latency") + " ms";
  part("network").textContent = mean("network") + " ms of it";
}

async function loop(mine) {
  while (run === mine) {
    await camera.newFrame();
    if (run !== mine) return;
    if (document.hidden || !box.offsetParent) return stop(HIDDEN, "ended");
    const taken = performance.now();
    const frame = await camera.frame(mine.side);
    const answer = await ask("frame", { id: mine.id }, frame, mine.abort.signal);
    if (run !== mine) return;
    if (answer.status === 204) {
      part("dropped").textContent = ++mine.dropped;
      if (taken - mine.painted > PATIENCE_MS) say("Others are having their turn; yours comes …");
      await new Promise((resolve) => setTimeout(resolve, DROPPED_MS));
      continue;
    }
    const map = await decodeLabelPng(new Uint8Array(await answer.arrayBuffer()));
    if (run !== mine) return;
    overlay.paint(map);
    await new Promise(requestAnimationFrame);
    mine.painted = performance.now();
    tell(mine, mine.painted - taken, parseFloat(answer.headers.get("x-network-ms")));
    if (part("status").textContent) say("");
  }
}

/** Show the time that is left, and stop when there is none: the server does so, too. */
function countDown(mine, seconds, text) {
  const end = performance.now() + seconds * 1000;
  mine.clock = setInterval(() => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    part("left").textContent = left + " s";
    if (left === 0 && run === mine) stop(text, "ended");
  }, 250);
}

async function begin(id) {
  stop("Asking for the camera …", "starting");
  const mine = { abort: new AbortController(), frames: [], dropped: 0, painted: performance.now() };
  run = mine;
  try {
    await camera.open(id, () => run === mine && stop(UNPLUGGED));
    if (run !== mine) return;
    box.dataset.mirrored = String(camera.mirrored);
    box.style.setProperty("--lv-ratio", part("video").videoWidth / part("video").videoHeight);
    say("Trying which network is quick enough here …");
    const frame = await camera.frame(FIRST_SIDE);
    const model = part("model").value;
    const facts = await (await ask("start", { model }, frame, mine.abort.signal)).json();
    if (run !== mine) return navigator.sendBeacon?.(address("stop", { id: facts.id }));
    Object.assign(mine, { id: facts.id, side: facts.side, painted: performance.now() });
    overlay.use(facts);
    part("reason").textContent = facts.why;
    part("dropped").textContent = "0";
    part("switch-camera").hidden = (await camera.all()).length < 2;
    countDown(mine, facts.seconds, facts.ended);
    say("", "on");
    await loop(mine);
  } catch (error) {
    if (run !== mine) return;
    if (error instanceof Refused) stop(error.message, error.ended ? "ended" : "off");
    else if (error instanceof TypeError) stop(LOST);
    else stop(refusal(error));
  }
}

/** The next camera after the present one. */
async function turn() {
  const ids = await camera.all();
  await begin(ids[(ids.indexOf(camera.id) + 1) % ids.length]);
}

part("model").append(new Option("The best that is quick enough", ""));
for (const [label, name] of props.models ?? []) part("model").append(new Option(label, name));
part("start").addEventListener("click", () => (run ? stop("") : begin(camera.id)));
part("switch-camera").addEventListener("click", turn);
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
say("", "off");
