"""Measure the numbers of docs/lesson.md and write them: `python -m docs.lesson_numbers`.

Uses the functions of the classroom's views, the embedded model and the example photos. Run it again
whenever the embedded model changes; `--check` only reports whether that is needed.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import segmentation
from page.classroom.network_views import SIZES
from segmentation import Segmentation, Segmenter, display_name, read_indexed_png
from segmentation.explain import ablation, perturbations
from segmentation.explain.aspp import ablated, aspp_of, sampling_taps
from segmentation.inference import metrics
from segmentation.models.registry import EMBEDDED_FOLDER

ROOT = Path(__file__).resolve().parent.parent
LESSON = ROOT / "docs" / "lesson.md"
BEGIN, END = "<!-- numbers begin -->", "<!-- numbers end -->"
PHOTOS = ("astronaut", "chelsea", "coffee", "grace_hopper", "rocket")
TRUTHS = {"astronaut": 15, "chelsea": 8}


def fingerprint() -> str:
    """Return the first 12 digits of the embedded weights' hash, from their card."""
    fields = json.loads((EMBEDDED_FOLDER / "embedded.json").read_text(encoding="utf-8"))
    return str(fields.get("sha256", "unknown"))[:12]


def percent(share: float) -> str:
    """Return a share in [0, 1] as text, in per cent."""
    return f"{share * 100:.0f} %"


def classes_in(result: Segmentation) -> str:
    """Return the classes with at least one per cent of the pixels, as text."""
    return ", ".join(
        f"{display_name(area.name)} {percent(area.fraction)}"
        for area in result.areas()
        if area.fraction >= 0.01
    )


def changed(before: Segmentation, after: Segmentation) -> float:
    """Return the share of pixels with different labels, in [0, 1]."""
    return metrics.changed_pixels(before.class_map, after.class_map)[1]


def steps_and_grades(segmenter: Segmenter) -> Iterator[tuple[str, str]]:
    """Views 1 and 8: the classes in each example photo, and the IoU if it has ground truth."""
    for name in PHOTOS:
        result = segmenter.predict(photo(name))
        text = classes_in(result)
        if name in TRUTHS:
            truth = read_indexed_png(ROOT / "examples" / "truth" / f"{name}.png")
            index = TRUTHS[name]
            mark = metrics.grade(
                result.class_map == index, truth == index, truth == metrics.IGNORE_INDEX
            )
            text += f"; IoU of the {display_name(result.categories[index])} {mark.iou:.2f}"
        yield f"Labels of {name.replace('_', ' ')} (views 1, 8, 9)", text


def inner_parts(segmenter: Segmenter) -> Iterator[tuple[str, str]]:
    """Views 3 and 5: the astronaut's labels without each branch and without the skip."""
    network = segmenter.model.network
    plain = segmenter.predict(photo("astronaut"))
    batch = segmenter.preprocess(Image.open(photo("astronaut")).convert("RGB"))
    encoded = ablation.encode(network, batch)
    aspp = aspp_of(network)
    grid = tuple(encoded.last.shape[-2:])
    size = plain.class_map.shape
    middle = (size[0] // 2, size[1] // 2)
    taps = sampling_taps(aspp, middle, grid, size)
    outside = ", ".join(
        f"{t.branch} {int((~t.inside).sum())} of {len(t.inside)}" for t in taps if not t.whole
    )
    yield "Feature map that the ASPP reads (view 3)", f"{grid[0]} × {grid[1]} cells"
    yield "Taps in the padding for the middle pixel (view 3)", outside
    for branch in aspp.branches:
        with ablated(network, [branch.name]):
            cut = ablation.replace_logits(plain, ablation.decode(network, encoded))
        yield f"Changed without {branch.name} (view 3)", percent(changed(plain, cut))
    if ablation.has_skip(network):
        with torch.inference_mode(), ablation.without_skip(network):
            cut = ablation.replace_logits(plain, network(batch)["out"])
        yield "Changed without the skip (view 5)", percent(changed(plain, cut))


def sizes_and_breaks(segmenter: Segmenter) -> Iterator[tuple[str, str]]:
    """Views 6, 7 and 9: the astronaut at five sizes, and with eight perturbations."""
    plain = segmenter.predict(photo("astronaut"))
    shares = (
        f"{size} px {percent(changed(plain, segmenter.predict(photo('astronaut'), size=size)))}"
        for size in SIZES
    )
    yield "Changed at each size (view 6)", ", ".join(shares)
    twice = segmenter.predict(photo("astronaut"), size=2 * segmenter.model.card.resize)
    table = metrics.agreement([plain.class_map, twice.class_map])
    yield "Agreement with itself at twice its size (view 7)", percent(float(table[0, 1]))
    image = np.asarray(Image.open(photo("astronaut")).convert("RGB"))
    for perturbation in perturbations.PERTURBATIONS.values():
        after = segmenter.predict(perturbation.apply(image))
        share = metrics.changed_pixels(
            plain.class_map,
            perturbation.back(after.class_map, plain.class_map.shape),
            perturbation.valid(plain.class_map.shape),
        )[1]
        text = f"{percent(share)} changed; now {classes_in(after)}"
        yield f"{perturbation.title} (view 9)", text


def photo(name: str) -> str:
    """Return the path of an example photo."""
    return str(ROOT / "examples" / f"{name}.jpg")


def table() -> str:
    """Return all numbers as Markdown, with the model and the versions."""
    segmenter = segmentation.load("embedded", device="cpu")
    card = segmenter.model.card
    rows = [
        *steps_and_grades(segmenter),
        *inner_parts(segmenter),
        *sizes_and_breaks(segmenter),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(
        [
            f"Measured with the embedded model {fingerprint()} ({card.name}, input {card.resize} px"
            f") on torch {torch.__version__.split('+')[0]}, one CPU. The photo is the astronaut "
            "unless another one is named.",
            "",
            "| measurement | value |",
            "|---|---|",
            *lines,
        ]
    )


def main() -> int:
    """Run the command line: write the numbers, or check that they are of the embedded model."""
    parse = argparse.ArgumentParser(description="Measure the lesson's numbers and write them.")
    parse.add_argument(
        "--check", action="store_true", help="change nothing; exit status 1 if they are old"
    )
    options = parse.parse_args()
    text = LESSON.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    numbers, _, tail = rest.partition(END)
    if options.check:
        return 0 if fingerprint() in numbers else 1
    LESSON.write_text(f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
