"""Peak memory for photos of 0.3, 2, 12 and 48 megapixels: `python -m benchmarks.server.memory`.

Each cell is a process of its own that loads a network with random weights, labels a small photo,
and then the one that counts, from the file's bytes to the overlay or to what the page shows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

import segmentation
from benchmarks.report.output import EXAMPLES, ROOT, finish, parser, result
from benchmarks.report.tables import markdown
from benchmarks.server.memory_usage import peak_mb
from benchmarks.speed.baselines import (
    enlarged_photo,
    load_ours,
    our_script,
    random_network,
    scripts,
)
from benchmarks.speed.stages import page_script
from benchmarks.speed.timing import Clock

MODEL = "deeplabv3_mobilenet_v3_large"
SIZES = {"0.3": (480, 640), "2": (1224, 1632), "12": (3000, 4000), "48": (6000, 8000)}
"""Megapixels to (height, width)."""
WAYS = {
    "article": "article's script",
    "preset": "torchvision's preset",
    "exact": "ours, exact",
    "default": "ours, default",
    "page": "ours, what the page shows",
}
WEBP_SIDE = 8000


def child(way: str, path: Path) -> dict[str, float]:
    """Measure one cell, in this process, which should be a fresh one.

    Args:
        way: a key of `WAYS`, or "open" for reading the photo alone.
        path: the photo.

    Returns:
        "peak" of the process and "above" what it had before, in megabytes.
    """
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        run = _way(way, Path(folder))
        if way != "open":
            run((EXAMPLES / "chelsea.jpg").read_bytes())
        peak, above = peak_mb(partial(run, data))
    return {"peak": peak, "above": above}


def _way(way: str, folder: Path) -> Callable[[bytes], object]:
    """What is done with a photo's bytes."""
    if way == "open":
        return segmentation.open_photo
    network = random_network(MODEL)
    if way in ("article", "preset"):
        return lambda data: scripts(network, MODEL, {}, data)[way](Clock())
    segmenter = load_ours(network, MODEL, folder, exact=way == "exact")
    if way == "page":
        return lambda data: page_script(segmenter, data, str(folder / "cache"), Clock())
    return lambda data: our_script(segmenter, data, Clock())


def in_a_process(way: str, photo: Path) -> dict[str, float]:
    """`child` in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.server.memory", "--child", way, str(photo)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{way} with {photo.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All cells, as plain values for JSON."""
    values = result(sizes=options.megapixels, peaks={way: {} for way in options.ways})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for megapixels in options.megapixels:
            photo = folder / f"{megapixels}.jpg"
            photo.write_bytes(enlarged_photo(EXAMPLES / "rocket.jpg", SIZES[megapixels]))
            for way in options.ways:
                print(f"{megapixels} megapixels, {way} ...", file=sys.stderr, flush=True)
                values["peaks"][way][megapixels] = in_a_process(way, photo)
        if not options.no_webp:
            side = (WEBP_SIDE, WEBP_SIDE)
            image = Image.open(EXAMPLES / "rocket.jpg").convert("RGB").resize(side)
            image.save(folder / "large.webp", method=0)
            values["webp"] = in_a_process("open", folder / "large.webp")
    return values


def memory_report(values: dict[str, Any]) -> str:
    """The table as Markdown."""
    rows = []
    for way, peaks in values["peaks"].items():
        cells = [f"{peaks[size]['peak']:.0f} ({peaks[size]['above']:+.0f})" for size in peaks]
        rows.append([WAYS[way], *cells])
    header = ["peak of the process, MB", *(f"{size} megapixels" for size in values["sizes"])]
    text = (
        f"{MODEL}; in brackets, above the process that has labelled a small photo.\n\n"
        + markdown(header, rows)
    )
    if "webp" in values:
        text += (
            f"\n\nReading a lossy {WEBP_SIDE} x {WEBP_SIDE} WebP alone: "
            f"{values['webp']['above']:.0f} MB above the process."
        )
    return text


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("server.memory", __doc__)
    command.add_argument("--megapixels", nargs="+", choices=SIZES, default=list(SIZES))
    command.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    command.add_argument("--no-webp", action="store_true", help="leave out the large WebP")
    command.add_argument("--child", nargs=2, metavar=("WAY", "PHOTO"), help="one cell, as JSON")
    options = command.parse_args()
    if options.child:
        way, photo = options.child
        print(json.dumps(child(way, Path(photo))))
        return
    values = measure(options)
    finish(values, memory_report(values), options.json)


if __name__ == "__main__":
    main()
