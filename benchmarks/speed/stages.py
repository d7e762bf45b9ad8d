"""Everything that is not the network, on a 12-megapixel JPEG: `python -m benchmarks.speed.stages`.

From the file's bytes to a PNG of the overlay, and to what the page shows (a photo and one label map
for the browser). All contenders use the built-in model, because the time of postprocessing and
encoding depends on the logits, and random weights are the best case. The network's own time is left
out of the sums. A second table times postprocessing alone on the logits of real photos, of the
built-in model and of models in `../shared`.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import segmentation
from benchmarks.report.output import EXAMPLES, RUNS, SHARED, finish, parser, positive, result
from benchmarks.report.tables import markdown
from benchmarks.report.targets import Target
from benchmarks.speed.baselines import enlarged_photo, scripts
from benchmarks.speed.timing import Clock, in_turn, spread
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
STAGES = ("decode", "preprocess", "postprocess", "encode")
MOST_MS = 500.0


def page_script(segmenter: Any, data: bytes, cache: str, clock: Clock) -> dict[str, Any]:
    """From a photo's file to the value of the page's viewer.

    Args:
        segmenter: a `Segmenter`.
        data: the file.
        cache: folder for the viewer's files.
        clock: gets decode, preprocess, network, postprocess, encode.
    """
    with clock("decode"):
        image = segmentation.open_photo(data).image
    with clock("preprocess"):
        batch = segmenter.preprocess(Image.fromarray(image), size=segmenter.size)
    with clock("network"):
        logits = segmenter._forward(batch)[0]
    with clock("postprocess"):
        class_map, confidence, runner_up = decide(logits, image.shape[:2])
        answer = Segmentation(
            class_map=class_map,
            confidence=confidence,
            runner_up=runner_up,
            logits=logits,
            categories=segmenter.categories,
            model=segmenter.model.name,
            device="cpu",
            seconds=0.0,
        )
    with clock("encode"):
        return build_value(answer, image, cache=cache, key="0")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All rows, as plain values for JSON."""
    values = result(photo=options.photo.name, size=list(options.size), runs=options.runs)
    data = enlarged_photo(options.photo, tuple(options.size))
    ours = {
        "exact": segmentation.load("embedded", device="cpu", exact=True),
        "default": segmentation.load("embedded", device="cpu"),
    }
    with tempfile.TemporaryDirectory() as name:
        contenders = scripts(ours["exact"].model.network, PRESET, ours, data)
        contenders["page"] = lambda clock: page_script(
            ours["default"], data, str(Path(name) / "cache"), clock
        )
        values["times"] = in_turn(contenders, options.runs)
    photos = sorted(EXAMPLES.glob("*.jpg"))[: options.most]
    values["decide"] = measure_decide(photos, tuple(options.size), options.runs)
    values["bytes"] = len(data)
    return values


def measure_decide(
    photos: Sequence[Path], size: tuple[int, int], runs: int
) -> list[dict[str, Any]]:
    """Time `segmentation.inference.postprocessing.decide` on the logits of each model and photo.

    Args:
        photos: files.
        size: (H, W) of the class map.
        runs: number of runs of each.

    Returns:
        model, photo, logits (their shape) and "decide", the seconds of each run.
    """
    rows = []
    for model in ("embedded", *sorted((SHARED / "models").glob("*.pt2"))):
        segmenter = segmentation.load(model, device="cpu")
        for photo in photos:
            logits = segmenter.logits(photo)  # (C, h, w)

            def once(clock: Clock, logits: torch.Tensor = logits) -> None:
                with clock("decide"):
                    decide(logits, size)

            row = {"model": Path(model).stem, "photo": photo.name, "logits": list(logits.shape)}
            rows.append(row | in_turn({"decide": once}, runs)["decide"])
    return rows


def without_network(stages: dict[str, list[float]]) -> list[float]:
    """Seconds of each run but for the network."""
    return np.sum([stages[stage] for stage in STAGES], axis=0).tolist()


def stages_report(values: dict[str, Any]) -> str:
    """The table as Markdown."""
    theirs = spread(without_network(values["times"]["article"]), 1e3)
    rows = []
    for key, stages in values["times"].items():
        all_but = spread(without_network(stages), 1e3)
        cells = [f"{spread(stages[stage], 1e3).median:.0f}" for stage in STAGES]
        beside = f"{theirs.median / all_but.median:.2f}x"
        rows.append([NAMES[key], all_but.text(), beside, *cells])
    height, width = values["size"]
    header = ["ms without the network", "all", "to the article's", *STAGES]
    return "\n\n".join(
        [
            f"A JPEG of {width} x {height} pixels ({values['bytes'] / 1e6:.1f} MB), "
            f"{values['runs']} runs in turn: median (minimum to maximum).",
            markdown(header, rows),
            f"Postprocessing alone, to {width} x {height} pixels:",
            markdown(
                ["model", "photo", "logits", "ms"],
                [
                    [
                        row["model"],
                        row["photo"],
                        " x ".join(map(str, row["logits"])),
                        spread(row["decide"], 1e3).text(),
                    ]
                    for row in values["decide"]
                ],
            ),
        ]
    )


def stages_targets(values: dict[str, Any]) -> list[Target]:
    """The promise about a 12-megapixel photo; by the quickest run."""
    if values["size"] != list(SIZE):
        return []
    quickest = 1e3 * min(without_network(values["times"]["page"]))
    what = "12 megapixels, file to what the page shows, without the network"
    return [Target(what, MOST_MS, quickest, " ms", most=True)]


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("speed.stages", __doc__)
    command.add_argument("--runs", type=positive, default=RUNS)
    command.add_argument("--most", type=positive, help="example photos for the second table")
    command.add_argument("--photo", type=Path, default=EXAMPLES / "rocket.jpg")
    command.add_argument(
        "--size", type=positive, nargs=2, default=SIZE, metavar=("HEIGHT", "WIDTH")
    )
    options = command.parse_args()
    values = measure(options)
    finish(values, stages_report(values), options.json, stages_targets(values))


if __name__ == "__main__":
    main()
