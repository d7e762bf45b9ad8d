"""Peak memory for photos of 0.3, 2, 12 and 48 megapixels: `python -m benchmarks.server.memory`.

Each cell is a process of its own that loads a network with random weights, labels a small photo,
and then the measured one, from the file's bytes to the overlay or to the page's files.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

import segmentation
from benchmarks.report.output import EXAMPLES, ROOT, Values, parser, run
from benchmarks.report.tables import markdown
from benchmarks.speed.baselines import enlarged_photo, load_ours, random_network, scripts
from benchmarks.speed.stages import page_script
from benchmarks.speed.timing import Clock
from tests.helpers.server import peak_mb

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


def measure_cell(way: str, path: Path) -> dict[str, float]:
    """Measure one photo in this process, which should be a fresh one.

    Args:
        way: a key of `WAYS`, or "open" to only decode the photo.
        path: the photo.

    Returns:
        "peak" of the process and "above" its memory before, in megabytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        work, data = _work(way, Path(folder)), path.read_bytes()
        if way != "open":
            work((EXAMPLES / "chelsea.jpg").read_bytes())
        peak, above = peak_mb(lambda: work(data))
    return {"peak": peak, "above": above}


def _work(way: str, folder: Path) -> Callable[[bytes], object]:
    if way == "open":
        return segmentation.open_photo
    network, ours = random_network(MODEL), {}
    if way not in ("article", "preset"):
        ours[way] = load_ours(network, MODEL, folder, exact=way == "exact")
    if way == "page":
        return lambda data: page_script(ours[way], data, str(folder / "cache"), Clock())
    return lambda data: scripts(network, MODEL, ours, data)[way](Clock())


def in_a_process(way: str, photo: Path) -> dict[str, float]:
    """Run `measure_cell` in a fresh process.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.server.memory", "--child", way, str(photo)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{way} with {photo.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def measure(options: argparse.Namespace) -> Values:
    """Return the peaks of all cells."""
    values: Values = {"sizes": options.megapixels, "peaks": {way: {} for way in options.ways}}
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in options.megapixels:
            photo = Path(folder, f"{megapixels}.jpg")
            photo.write_bytes(enlarged_photo(EXAMPLES / "rocket.jpg", SIZES[megapixels]))
            for way in options.ways:
                print(f"{megapixels} megapixels, {way} ...", file=sys.stderr, flush=True)
                values["peaks"][way][megapixels] = in_a_process(way, photo)
        if not options.no_webp:
            photo, side = Path(folder, "large.webp"), (WEBP_SIDE, WEBP_SIDE)
            image = Image.open(EXAMPLES / "rocket.jpg").convert("RGB").resize(side)
            image.save(photo, method=0)
            values["webp"] = in_a_process("open", photo)
    return values


def memory_report(values: Values) -> str:
    """Return the table as Markdown."""
    rows = [
        [WAYS[way], *(f"{cell['peak']:.0f} ({cell['above']:+.0f})" for cell in peaks.values())]
        for way, peaks in values["peaks"].items()
    ]
    header = ["peak of the process, MB", *(f"{size} megapixels" for size in values["sizes"])]
    text = f"{MODEL}; in brackets, above the process that has labelled a small photo.\n\n"
    text += markdown(header, rows)
    if "webp" in values:
        above = values["webp"]["above"]
        text += f"\n\nReading a lossy {WEBP_SIDE} x {WEBP_SIDE} WebP alone: {above:.0f} MB above "
        text += "the process."
    return text


def main() -> None:
    """Run the command line."""
    command = parser("benchmarks.server.memory", __doc__)
    command.add_argument("--megapixels", nargs="+", choices=SIZES, default=list(SIZES))
    command.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    command.add_argument("--no-webp", action="store_true", help="leave out the large WebP")
    command.add_argument("--child", nargs=2, metavar=("WAY", "PHOTO"), help="one cell, as JSON")
    options = command.parse_args()
    if options.child:
        print(json.dumps(measure_cell(options.child[0], Path(options.child[1]))))
    else:
        run(options, measure, memory_report)


if __name__ == "__main__":
    main()
