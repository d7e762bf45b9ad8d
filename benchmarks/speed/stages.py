"""Every stage but the network, on a 12-megapixel JPEG: `python -m benchmarks.speed.stages`.

From the file's bytes to a PNG of the overlay, and to the page's files (a photo and one label map).
All contenders use the built-in model, because the time of postprocessing and encoding depends on
the logits, and random weights are the best case. The sums leave out the network.
"""

import argparse
import tempfile
from typing import Any

import numpy as np

import segmentation
from benchmarks.report.output import Values, add_run_options, parser, positive, run
from benchmarks.report.tables import Target, markdown, ratio
from benchmarks.speed.baselines import enlarged_photo, our_logits, scripts
from benchmarks.speed.timing import STAGES, Clock, alternate, spread
from segmentation.inference.postprocessing import decide
from segmentation.inference.result import Segmentation
from viewer.payload import build_value

PRESET = "deeplabv3_mobilenet_v3_large"
"""Network of torchvision's published transforms."""
SIZE = (3000, 4000)
NAMES = {
    "article": "article's script: overlay PNG (of 640-px labels)",
    "preset": "torchvision's preset: overlay PNG",
    "exact": "ours, exact: overlay PNG",
    "default": "ours, default: overlay PNG",
    "page": "ours, default: what the page shows",
}
LIMIT_MS = 500.0


def page_script(segmenter: Any, data: bytes, cache: str, clock: Clock) -> dict[str, Any]:
    """Label a photo's file and return the viewer's value; its files go into the folder `cache`."""
    image, logits = our_logits(segmenter, data, clock)
    with clock("postprocess"):
        decided = decide(logits, image.shape[:2])
        model = segmenter.model.name
        result = Segmentation(*decided, logits, segmenter.categories, model, "cpu", 0.0)
    with clock("encode"):
        return build_value(result, image, cache=cache, key="0")


def measure(options: argparse.Namespace) -> Values:
    """Return the times of all contenders."""
    size = tuple(options.size)
    data = enlarged_photo(options.photo, size)
    ours = {
        "exact": segmentation.load("embedded", device="cpu", exact=True),
        "default": segmentation.load("embedded", device="cpu"),
    }
    with tempfile.TemporaryDirectory() as cache:
        contenders = scripts(ours["exact"].model.network, PRESET, ours, data)
        contenders["page"] = lambda clock: page_script(ours["default"], data, cache, clock)
        times = alternate(contenders, options.runs)
    return {
        "photo": options.photo.name,
        "size": list(size),
        "runs": options.runs,
        "times": times,
        "bytes": len(data),
    }


def without_network(stages: dict[str, list[float]]) -> list[float]:
    """Return the seconds of each run, all stages but the network."""
    return np.sum([stages[stage] for stage in STAGES], axis=0).tolist()


def stages_report(values: Values) -> str:
    """Return the table as Markdown."""
    article = spread(without_network(values["times"]["article"]), 1e3)
    rows = []
    for key, stages in values["times"].items():
        ours = spread(without_network(stages), 1e3)
        cells = [f"{spread(stages[stage], 1e3).median:.0f}" for stage in STAGES]
        rows.append([NAMES[key], ours.text(), ratio(article.median / ours.median), *cells])
    height, width = values["size"]
    return (
        f"A JPEG of {width} x {height} pixels ({values['bytes'] / 1e6:.1f} MB), "
        f"{values['runs']} alternating runs: median (minimum to maximum).\n\n"
    ) + markdown(["ms without the network", "all", "to the article's", *STAGES], rows)


def stages_targets(values: Values) -> list[Target]:
    """Return the target of a 12-megapixel photo, by the quickest run."""
    if values["size"] != list(SIZE):
        return []
    quickest = 1e3 * min(without_network(values["times"]["page"]))
    name = "12 megapixels, file to what the page shows, without the network"
    return [Target(name, LIMIT_MS, quickest, " ms", upper=True)]


def main() -> None:
    """Run the command line."""
    command = add_run_options(parser("benchmarks.speed.stages", __doc__), photo="rocket.jpg")
    command.add_argument(
        "--size", type=positive, nargs=2, default=SIZE, metavar=("HEIGHT", "WIDTH")
    )
    run(command.parse_args(), measure, stages_report, stages_targets)


if __name__ == "__main__":
    main()
