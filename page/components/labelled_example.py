"""The example that is labelled before anybody asks: photo, map and probabilities are files.

Nothing here loads torch or a model. `python -m docs.label_examples` makes the files anew;
`tests/page/tabs/test_labelled_example.py` fails when they are not what the shipped model answers.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segmentation import has_embedded
from segmentation.models.registry import MODELS
from viewer import pixel_value
from viewer.payload import VOC_PALETTE, describe_categories, file_value

KEY = "example"
"""Names its result, as a visitor's results have keys of their own."""
NAME = "dogs"
"""Of its files in the folder `labelled` of the examples."""


@dataclass(frozen=True)
class _Pixel:
    """As `segmentation.inference.result.Pixel`, from files."""

    probabilities: np.ndarray
    margin: float
    entropy: float
    prediction_set: range | None


class LabelledExample:
    """What the built-in model made of a photo, read from files.

    Args:
        folder: of the example photos; its folder `labelled` has the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "labelled"

    def fits(self, model: str) -> bool:
        """Whether it may stand on a page whose first choice is this model.

        Not where that is somebody's own network, whose classes are others.
        """
        return has_embedded() and model in MODELS and (self._folder / f"{NAME}.png").is_file()

    @functools.cached_property
    def _facts(self) -> dict[str, Any]:
        return json.loads((self._folder / f"{NAME}.json").read_text(encoding="utf-8"))

    @functools.cached_property
    def _map(self) -> np.ndarray:
        """(H, W, 4) uint8: class, confidence, runner-up, 256 less the number of likely classes."""
        with Image.open(self._folder / f"{NAME}.png") as image:
            return np.asarray(image)

    @functools.cached_property
    def _logits(self) -> np.ndarray:
        """(C, h, w) float32: the model's, on a coarser grid than its own."""
        return np.load(self._folder / f"{NAME}.npy", allow_pickle=False).astype(np.float32)

    @property
    def photo(self) -> Path:
        """The photo's file."""
        return self._folder / f"{NAME}.jpg"

    @property
    def categories(self) -> tuple[str, ...]:
        """Raw names of the classes, as `Segmentation.categories`."""
        return tuple(self._facts["categories"])

    def value(self, cache: str) -> dict[str, Any]:
        """The viewer's value, as `viewer.build_value` makes it of a result.

        Args:
            cache: Gradio's folder for files that a visitor may fetch.
        """
        photo = file_value(self.photo.read_bytes(), self.photo.name, cache)
        labels = file_value((self._folder / f"{NAME}.png").read_bytes(), "labels.png", cache)
        return {
            "id": KEY,
            "photo": photo,
            "source": photo["path"],
            "labels": labels,
            "categories": describe_categories(self.categories, VOC_PALETTE),
            "palette": "VOC",
            "note": "",
            "pinned": None,
            "seconds": 0,
            **{name: self._facts[name] for name in ("height", "width", "model", "device")},
        }

    def pixel_value(self, y: int, x: int) -> dict[str, Any]:
        """The distribution at a pixel, for `PixelBars`; see `viewer.pixel_value`."""
        return pixel_value(self, y, x)

    def pixel(self, y: int, x: int) -> _Pixel:
        """As `Segmentation.pixel`: the two first classes and the first one's share are the map's.

        How the rest is shared out comes from the coarser grid.

        Args:
            y: row of the photo.
            x: column of the photo.

        Raises:
            ValueError: the photo has no such pixel.
        """
        height, width = self._map.shape[:2]
        if not (0 <= y < height and 0 <= x < width):
            raise ValueError(f"pixel ({y}, {x}) lies outside of {height} x {width} pixels")
        first, share, second, alpha = (int(number) for number in self._map[y, x])
        found = _share_out(self._coarse(y, x), first, second, share / 255)
        ordered = np.sort(found)[::-1]
        known = found[found > 0].astype(np.float64)
        entropy = max(0.0, float(-(known * np.log2(known)).sum()))
        return _Pixel(found, float(ordered[0] - ordered[1]), entropy, range(256 - alpha))

    def _coarse(self, y: int, x: int) -> np.ndarray:
        """(C,) float32, softmax of the bilinearly upsampled logits (half-pixel centres)."""
        logits = self._logits
        for at, size in zip((y, x), self._map.shape[:2], strict=True):  # rows, then columns
            cells = logits.shape[1]
            place = max(0.0, (at + 0.5) * cells / size - 0.5)
            low = min(int(place), cells - 1)
            weight = place - low
            high = min(low + 1, cells - 1)
            logits = (1 - weight) * logits[:, low] + weight * logits[:, high]
        weights = np.exp(logits - logits.max())
        return (weights / weights.sum()).astype(np.float32)


def _share_out(coarse: np.ndarray, first: int, second: int, share: float) -> np.ndarray:
    """Probabilities whose largest is `share`, at `first`, and whose next is at `second`.

    Args:
        coarse: (C,) float32 that add up to 1: in whose proportions the rest is shared out.
        first: class of the largest.
        second: class of the next.
        share: the largest, 0 to 1.
    """
    rest = coarse.copy()
    rest[first] = 0
    best = int(rest.argmax())
    rest[[best, second]] = rest[[second, best]]
    total = float(rest.sum())
    rest *= (1 - share) / total if total > 0 else 0
    surplus = max(0.0, float(rest[second]) - share)
    others = np.ones(len(rest), bool)
    others[[first, second]] = False
    rest[second] -= surplus
    rest[others] += surplus / others.sum()
    rest[first] = share
    return rest
