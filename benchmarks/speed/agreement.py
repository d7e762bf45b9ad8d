"""How many labels stay: bfloat16 beside float32, and the default beside the exact network.

`python -m benchmarks.speed.agreement` labels real photos every way and compares the class maps,
at the photos' full size: the example photos, and, where `../shared` lies beside the checkout (or
PIXELWISE_SHARED names it), every eighth validation photo with each model that lies there too.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import segmentation
from benchmarks.report.output import EXAMPLES, SHARED, finish, parser, positive, result
from benchmarks.report.tables import markdown
from segmentation import PixelwiseError

WAYS = {
    "exact": {"exact": True},
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
}
PAIRS = (("exact", "float32"), ("float32", "bfloat16"))
EVERY = 8


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels with the same label, in [0, 1].

    Args:
        one: (H, W) uint8.
        other: (H, W) uint8.
    """
    if one.shape != other.shape:
        raise ValueError(f"class maps of {one.shape} and {other.shape} cannot be compared")
    return float((one == other).mean())


def compare(model: str | Path, photos: list[Path]) -> dict[str, Any]:
    """Label photos in every way that the model takes.

    Returns:
        "auto": what `precision="auto"` came to after them; "pairs": for each pair of ways the
        share of each photo, in the order of `photos`, or why there is none.
    """
    segmenters: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for way, options in WAYS.items():
        try:
            segmenter = segmentation.load(model, device="cpu", **options)
        except PixelwiseError as error:
            refused[way] = str(error)
            continue
        if segmenter.precision == options.get("precision", "float32"):
            segmenters[way] = segmenter
        else:
            refused[way] = segmenter.note
    pairs: dict[str, Any] = {" and ".join(pair): [] for pair in PAIRS}
    auto = segmentation.load(model, device="cpu", precision="auto")
    for photo in photos:
        maps = {way: one.predict(photo).class_map for way, one in segmenters.items()}
        auto.predict(photo)
        for one, other in PAIRS:
            if one in maps and other in maps:
                pairs[f"{one} and {other}"].append(agreement(maps[one], maps[other]))
    for one, other in PAIRS:
        if not pairs[f"{one} and {other}"]:
            pairs[f"{one} and {other}"] = refused.get(other, refused.get(one, ""))
    return {"auto": auto.precision, "pairs": pairs}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All models and photos, as plain values for JSON."""
    sets = {"examples": sorted(EXAMPLES.glob("*.jpg"))}
    models: dict[str, str | Path] = {"embedded": "embedded"}
    validation = sorted((SHARED / "photos" / "val" / "JPEGImages").glob("*.jpg"))
    if validation:
        sets[f"validation, every {options.every}th"] = validation[:: options.every]
        models |= {path.stem: path for path in sorted((SHARED / "models").glob("*.pt2"))}
    values = result(rows=[])
    for model, named in models.items():
        for title, photos in sets.items():
            chosen = photos[: options.most]
            row = {"model": model, "photos": title, "names": [path.name for path in chosen]}
            values["rows"].append({**row, **compare(named, chosen)})
    return values


def agreement_report(values: dict[str, Any]) -> str:
    """The table as Markdown."""
    rows = []
    for row in values["rows"]:
        for pair, shares in row["pairs"].items():
            start = [f"{row['model']}, {row['photos']} ({len(row['names'])})", pair]
            if isinstance(shares, str):
                rows.append([*start, shares, "", "", row["auto"]])
                continue
            worst = min(shares)
            name = row["names"][shares.index(worst)]
            rows.append([*start, f"{statistics.mean(shares):.3%}", f"{worst:.3%}", name])
            rows[-1].append(row["auto"])
    header = ["model, photos", "compared", "mean", "worst photo", "which", '"auto" chose']
    return "Share of the pixels whose label is the same:\n\n" + markdown(header, rows)


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("speed.agreement", __doc__)
    command.add_argument("--every", type=positive, default=EVERY, help="of the validation photos")
    command.add_argument("--most", type=positive, help="photos of each set at most")
    options = command.parse_args()
    values = measure(options)
    finish(values, agreement_report(values), options.json)


if __name__ == "__main__":
    main()
