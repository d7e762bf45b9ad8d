"""Share of equal labels: exact against default network, and float32 against bfloat16.

`python -m benchmarks.speed.agreement` labels real photos in every way and compares the class maps
at the photos' full size: the example photos, and, if `../shared` (or PIXELWISE_SHARED) exists,
every eighth validation photo in it, with the models in it as well.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import segmentation
from benchmarks.report.output import EXAMPLES, SHARED, Values, parser, positive, run
from benchmarks.report.tables import markdown
from segmentation import PixelwiseError

VARIANTS: dict[str, dict[str, Any]] = {
    "exact": {"exact": True},
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
}
PAIRS = (("exact", "float32"), ("float32", "bfloat16"))
EVERY = 8


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of pixels, in [0, 1], with the same label in two class maps (H, W) uint8.

    Raises:
        ValueError: their sizes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"class maps of {first.shape} and {second.shape} cannot be compared")
    return float((first == second).mean())


def compare(model: str | Path, photos: list[Path]) -> dict[str, Any]:
    """Label photos with every variant that the model has.

    Returns:
        "auto": the precision that `precision="auto"` chose; "pairs": for each pair of variants the
        share of each photo, in the order of `photos`, or the reason why there is none.
    """
    segmenters: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, options in VARIANTS.items():
        try:
            segmenter = segmentation.load(model, device="cpu", **options)
        except PixelwiseError as error:
            reasons[name] = str(error)
            continue
        if segmenter.precision == options.get("precision", "float32"):
            segmenters[name] = segmenter
        else:
            reasons[name] = segmenter.note
    auto = segmentation.load(model, device="cpu", precision="auto")
    maps: dict[str, list[np.ndarray]] = {name: [] for name in segmenters}
    for photo in photos:
        auto.predict(photo)
        for name, segmenter in segmenters.items():
            maps[name].append(segmenter.predict(photo).class_map)
    pairs: dict[str, Any] = {}
    for first, second in PAIRS:
        both = zip(maps.get(first, ()), maps.get(second, ()), strict=False)
        shares = [agreement(*pair) for pair in both]
        pairs[f"{first} and {second}"] = shares or reasons.get(second, reasons.get(first, ""))
    return {"auto": auto.precision, "pairs": pairs}


def measure(options: argparse.Namespace) -> Values:
    """Compare all models and photos."""
    sets = {"examples": sorted(EXAMPLES.glob("*.jpg"))}
    models: dict[str, str | Path] = {"embedded": "embedded"}
    validation = sorted((SHARED / "photos" / "val" / "JPEGImages").glob("*.jpg"))
    if validation:
        sets[f"validation, every {options.every}th"] = validation[:: options.every]
        models |= {path.stem: path for path in sorted((SHARED / "models").glob("*.pt2"))}
    rows = []
    for model, source in models.items():
        for title, photos in sets.items():
            chosen = photos[: options.most]
            row = {"model": model, "photos": title, "names": [path.name for path in chosen]}
            rows.append(row | compare(source, chosen))
    return {"rows": rows}


def agreement_report(values: Values) -> str:
    """Return the table as Markdown."""
    rows = []
    for row in values["rows"]:
        for pair, shares in row["pairs"].items():
            cells = [shares, "", ""]
            if not isinstance(shares, str):
                worst = min(shares)
                name = row["names"][shares.index(worst)]
                cells = [f"{statistics.mean(shares):.3%}", f"{worst:.3%}", name]
            title = f"{row['model']}, {row['photos']} ({len(row['names'])})"
            rows.append([title, pair, *cells, row["auto"]])
    header = ["model, photos", "compared", "mean", "worst photo", "which", '"auto" chose']
    return "Share of the pixels whose label is the same:\n\n" + markdown(header, rows)


def main() -> None:
    """Run the command line."""
    command = parser("benchmarks.speed.agreement", __doc__)
    command.add_argument("--every", type=positive, default=EVERY, help="of the validation photos")
    command.add_argument("--most", type=positive, help="maximum number of photos of each set")
    run(command.parse_args(), measure, agreement_report)


if __name__ == "__main__":
    main()
