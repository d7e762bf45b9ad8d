"""Latency of the viewer in a headless Chromium: `python -m benchmarks.speed.viewer`.

For each change a real DOM event is sent in the page, and `performance.now()` measures, from just
before it, (a) until the canvas holds the new image and (b) until the frame with it has been
produced. Each sample starts at a random moment of a frame, so (b) includes half a frame of waiting
on average, whatever is drawn; the row "nothing" shows that floor. The variable CHROMIUM names a
browser that is not on the PATH.
"""

import argparse
import sys

from benchmarks.report.output import Values, parser, positive, run
from benchmarks.report.tables import markdown
from tests.helpers.chromium import launch_options
from tests.helpers.viewer_app import ViewerApp, made_up_result

SIZES = {"1": (866, 1155), "12": (3000, 4000)}
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
    """Return the smallest value that at least `part` of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def measure_size(url: str, megapixels: str, samples: int) -> Values:
    """Open the page, show a result of a size, and time every change.

    Returns:
        "bytes" of photo and labels, "load_ms" from the files' arrival to the image, "requests"
        made while measuring, "canvas" [height, width], and for each change its two lists in ms.
    """
    from playwright.sync_api import Request, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        files: list[Request] = []
        page.on("request", lambda r: files.append(r) if "/file=" in r.url else None)
        page.goto(url)
        page.click(f"[id='{megapixels}']")
        page.wait_for_selector('.pw[data-state="ready"]', timeout=120_000)
        page.wait_for_timeout(500)
        row: Values = {
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
        row["requests"] = len([url for url in requests if "/heartbeat" not in url])
        browser.close()
    return row


def measure(options: argparse.Namespace) -> Values:
    """Return the times of every size."""
    app = ViewerApp({name: made_up_result(*size) for name, size in SIZES.items()})
    try:
        return {"sizes": {name: measure_size(app.url, name, options.samples) for name in SIZES}}
    finally:
        app.demo.close()


def in_a_frame(values: Values) -> bool:
    """Return whether changes are drawn within a frame at 1 megapixel, without any request."""
    slow = False
    for change in IN_A_FRAME:
        drawn = values["sizes"]["1"][change]["painted"]
        slow |= percentile(drawn, 0.5) > MEDIAN_MS or percentile(drawn, 0.95) > P95_MS
    return not slow and not any(row["requests"] for row in values["sizes"].values())


def viewer_report(values: Values) -> str:
    """Return a table for each size as Markdown."""
    parts = []
    for megapixels, row in values["sizes"].items():
        files = ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in row["bytes"].items())
        cells = []
        for change in CHANGES:
            lists = (row[change]["painted"], row[change]["framed"])
            texts = [f"{percentile(ms, 0.5):.1f} / {percentile(ms, 0.95):.1f}" for ms in lists]
            cells.append([change, *texts])
        parts += [
            f"{megapixels} megapixels on a canvas of {row['canvas']} (height, width): {files}; "
            f"ready {row['load_ms']:.0f} ms after the value; {row['requests']} requests meanwhile. "
            "Milliseconds, median / 95th percentile:",
            markdown(["change", "canvas drawn", "frame produced"], cells),
        ]
    verdict = "yes" if in_a_frame(values) else "NO"
    limit = f"median {MEDIAN_MS:.0f} ms, 95th percentile {P95_MS:.0f} ms"
    parts.append(f"At 1 megapixel drawn within a frame ({limit}), no request: {verdict}")
    return "\n\n".join(parts)


def main() -> int:
    """Run the command line; return 1 if a change takes more than a frame, 2 without Chromium."""
    command = parser("benchmarks.speed.viewer", __doc__)
    command.add_argument("--samples", type=positive, default=60, help="for each change (60)")
    options = command.parse_args()
    try:
        launch_options()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if in_a_frame(run(options, measure, viewer_report)) else 1


if __name__ == "__main__":
    sys.exit(main())
