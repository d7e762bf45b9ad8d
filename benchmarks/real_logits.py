"""Time postprocessing on the logits of real photos, with and without its shortcuts.

The shortcuts of `segmentation.postprocess` skip work that cannot change the labels. The gain
depends on the logits: borders and close classes leave little to skip, random weights a lot.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import segmentation
from benchmarks.contenders import load_ours, random_network
from benchmarks.output import SHARED
from benchmarks.tables import markdown
from benchmarks.timing import Clock, Work, in_turn, spread
from segmentation import postprocess
from segmentation.upsampling import make_taps

RANDOM = "random weights (the best case)"


def models(random: str, folder: Path) -> dict[str, Any]:
    """Load the models: random weights, the built-in model, and the programs in `SHARED`.

    Args:
        random: name of the network with random weights.
        folder: where its weights are saved.
    """
    made = {RANDOM: load_ours(random_network(random), random, folder)}
    made["embedded"] = segmentation.load("embedded", device="cpu")
    for path in sorted((SHARED / "models").glob("*.pt2")):
        made[path.stem] = segmentation.load(path, device="cpu")
    return made


def decide_all(logits: torch.Tensor, size: tuple[int, int]) -> postprocess.Decision:
    """Compute the result of `postprocess.decide` without shortcuts.

    Args:
        logits: (C, h, w).
        size: (H, W).
    """
    source = postprocess._values(logits)
    rows, columns = make_taps(source.shape[1], size[0]), make_taps(source.shape[2], size[1])
    out = postprocess.empty_decision(size)
    postprocess._decide_all(source, rows, columns, out)
    return out


def measure_shortcuts(
    segmenters: dict[str, Any], photos: Sequence[Path], size: tuple[int, int], runs: int
) -> list[dict[str, Any]]:
    """Time both ways alternately for each model and photo.

    Args:
        segmenters: of `models`.
        photos: files.
        size: (H, W) of the class map.
        runs: number of runs of each way.

    Returns:
        model, photo, logits (their shape), and for "shortcuts" and "all" the seconds of each run:
        "decide" by the clock, "processor" of all threads together.
    """
    rows = []
    for name, segmenter in segmenters.items():
        for photo in photos:
            logits = segmenter.logits(photo)  # (C, h, w)
            ways = {"shortcuts": postprocess.decide, "all": decide_all}
            times = in_turn({way: _work(how, logits, size) for way, how in ways.items()}, runs)
            rows.append({"model": name, "photo": photo.name, "logits": list(logits.shape), **times})
    return rows


def _work(decide: Any, logits: torch.Tensor, size: tuple[int, int]) -> Work:
    def once(clock: Clock) -> None:
        begun = time.process_time()
        with clock("decide"):
            decide(logits, size)
        clock.seconds["processor"] = time.process_time() - begun

    return once


def shortcuts_report(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown. The gain is in processor time, which other load disturbs least."""
    lines, gains = [], []
    for row in rows:
        with_them, without = (spread(row[way]["decide"], 1e3) for way in ("shortcuts", "all"))
        gain = min(row["all"]["processor"]) / min(row["shortcuts"]["processor"])
        if row["model"] != RANDOM:
            gains.append(gain)
        shape = " x ".join(map(str, row["logits"]))
        lines.append(
            [row["model"], row["photo"], shape, with_them.text(), without.text(), f"{gain:.2f}x"]
        )
    header = ["model", "photo", "logits", "as it is, ms", "without shortcuts, ms", "gain"]
    said = f"On real logits the shortcuts gain {min(gains):.2f}x to {max(gains):.2f}x."
    how = "The gain is in processor time, of the quickest runs."
    return "\n\n".join([f"{said} {how}", markdown(header, lines)])
