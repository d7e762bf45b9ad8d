"""How fast the viewer answers in a headless Chromium: `python -m benchmarks.speed.viewer`.

For each change a real DOM event is sent in the page, and `performance.now()` measures, from just
before it, (a) until the canvas holds the new picture and (b) until the frame that shows it has been
produced. Each sample starts at a random moment of a frame, as a person's hand does, so
(b) holds a wait of half a frame on average whatever is drawn; the row "nothing" shows that floor.
"""

import argparse
import json
import platform
import statistics
import sys
from typing import Any

import gradio as gr

from benchmarks.report.synthetic import made_up_result
from tests.helpers.chromium import find_chromium, launch_options
from viewer import LabelViewer, build_value

SIZES = {1: (866, 1155), 12: (3000, 4000)}
"""Megapixels to (height, width)."""
CHANGES = ("nothing", "opacity", "toggle", "threshold", "hover", "palette", "zoom")
IN_A_FRAME = ("opacity", "toggle", "threshold", "hover")
MEDIAN_MS, P95_MS = 16.0, 33.0

MEASURE = """
async ({change, samples}) => {
  const root = document.querySelector('.pw');
  const stage = root.querySelector('.pw-stage');
  const slide = (selector, value) => {
    const input = root.querySelector(selector);
    input.value = value;
    input.dispatchEvent(new Event('input', {bubbles: true}));
  };
  const point = (type, i) => {
    const rect = stage.getBoundingClientRect();
    const spots = [[0.28, 0.55], [0.72, 0.6], [0.75, 0.25], [0.05, 0.05], [0.5, 0.9]];
    const [x, y] = spots[i % spots.length];
    const at = {clientX: rect.left + x * rect.width, clientY: rect.top + y * rect.height};
    return {...at, pointerId: 1, pointerType: 'mouse', bubbles: true, cancelable: true};
  };
  const rows = [...root.querySelectorAll('.pw-class')];
  const act = {
    nothing: () => {},
    opacity: i => slide('.pw-opacity', 20 + (i * 37) % 80),
    threshold: i => slide('.pw-threshold', 5 + (i * 31) % 90),
    toggle: i => rows[i % rows.length].click(),
    hover: i => stage.dispatchEvent(new PointerEvent('pointermove', point('pointermove', i))),
    palette: i => root.querySelector(`[value=${i % 2 ? 'voc' : 'safe'}]`).click(),
    zoom: i => stage.dispatchEvent(new WheelEvent(
      'wheel', {...point('wheel', 0), ctrlKey: true, deltaY: i % 8 < 4 ? -120 : 120})),
  }[change];
  const frame = () => new Promise(done => requestAnimationFrame(() => {
    const after = new MessageChannel();
    after.port1.onmessage = done;
    after.port2.postMessage(0);
  }));
  const painted = [];
  const framed = [];
  for (let i = 0; i < samples + 5; i++) {
    await frame();
    await new Promise(done => setTimeout(done, Math.random() * 17));
    const start = performance.now();
    act(i);
    const drawn = performance.now();
    await frame();
    if (i < 5) continue;
    painted.push(drawn - start);
    framed.push(performance.now() - start);
  }
  return {painted, framed};
}
"""


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least `part` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def build_demo() -> gr.Blocks:
    """A page with the viewer alone and a button for each size."""
    with gr.Blocks(analytics_enabled=False) as demo:
        viewer = LabelViewer(elem_id="viewer")
        for megapixels, size in SIZES.items():
            button = gr.Button(f"{megapixels}", elem_id=f"show-{megapixels}")

            def show(size: tuple[int, int] = size) -> dict[str, Any]:
                result, image = made_up_result(*size)
                key = f"{size[0]}x{size[1]}"
                return build_value(result, image, cache=demo.GRADIO_CACHE, key=key)

            button.click(show, None, viewer, show_progress="hidden", api_visibility="private")
    return demo


def measure(url: str, executable: str, megapixels: int, samples: int) -> dict[str, Any]:
    """Open the page, show a result of a size, and time every change.

    Returns:
        "bytes" of photo and labels, "load_ms" from the files' arrival to the picture, "requests"
        made while measuring, "canvas" (height, width), and for each change its two lists in ms.
    """
    from playwright.sync_api import Request, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**{**launch_options(), "executable_path": executable})
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        files: list[Request] = []
        page.on("request", lambda r: files.append(r) if "/file=" in r.url else None)
        page.goto(url)
        page.click(f"#show-{megapixels}")
        page.wait_for_selector('.pw[data-state="ready"]', timeout=120_000)
        page.wait_for_timeout(500)
        row: dict[str, Any] = {
            "bytes": {r.url.rsplit("/", 1)[1]: r.sizes()["responseBodySize"] for r in files},
            "load_ms": page.evaluate("document.querySelector('.pw').pixelwise.loader.milliseconds"),
            "canvas": page.evaluate(
                "(c => [c.height, c.width])(document.querySelector('canvas.pw-labels'))"
            ),
        }
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        for change in CHANGES:
            row[change] = page.evaluate(MEASURE, {"change": change, "samples": samples})
        row["requests"] = len([u for u in requests if "/heartbeat" not in u])
        browser.close()
    return row


def report(megapixels: int, row: dict[str, Any]) -> bool:
    """Print one size's table; true when every change that must fit a frame does."""
    height, width = row["canvas"]
    files = ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in row["bytes"].items())
    print(f"\n{megapixels} megapixels on a {height} x {width} canvas: {files}")
    print(f"ready {row['load_ms']:.0f} ms after the value; requests meanwhile: {row['requests']}")
    print(f"{'change':<11}{'canvas drawn':>18}{'frame produced':>20}   (ms, median / p95)")
    good = row["requests"] == 0
    for change in CHANGES:
        cells = [
            (statistics.median(values), percentile(values, 0.95))
            for values in (row[change]["painted"], row[change]["framed"])
        ]
        texts = [f"{median:.1f} / {p95:.1f}" for median, p95 in cells]
        print(f"{change:<11}{texts[0]:>18}{texts[1]:>20}")
        if megapixels == 1 and change in IN_A_FRAME:
            median, p95 = cells[0]
            good &= median <= MEDIAN_MS and p95 <= P95_MS
    return good


def main() -> int:
    """Run, print a table for each size, and say whether one frame is kept at 1 megapixel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=60, help="for each change (default 60)")
    parser.add_argument("--chromium", help="path of the browser (default: from PATH)")
    parser.add_argument("--json", help="also write every sample to this file")
    options = parser.parse_args()
    executable = options.chromium or find_chromium()
    if not executable:
        print("No Chromium found; name one with --chromium.", file=sys.stderr)
        return 2
    demo = build_demo()
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    rows = {m: measure(url, executable, m, options.samples) for m in SIZES}
    demo.close()
    print(f"{platform.machine()}, {platform.system()}, Gradio {gr.__version__}, {executable}")
    good = [report(megapixels, row) for megapixels, row in rows.items()]
    print(
        f"\nat 1 megapixel drawn within a frame (median {MEDIAN_MS:.0f} ms, 95 % {P95_MS:.0f} ms) "
        f"and no request at any size: {'yes' if all(good) else 'NO'}"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
