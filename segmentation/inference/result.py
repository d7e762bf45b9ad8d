"""What came out: a label for every pixel, and what can be asked of it without the network.

The three steps of the article: classification (`areas`: which classes), bounding (`regions`: a box
for each connected region) and masking (`Region.mask`: which pixels).
"""

import math
import operator
from dataclasses import dataclass

import numpy as np
import torch

from segmentation.categories import BACKGROUND_NAMES
from segmentation.errors import PixelError, PixelwiseError
from segmentation.inference.components import label_components
from segmentation.inference.postprocessing import pixel_logits, prediction_set

_TALLY_PIXELS = 1 << 18


@dataclass(frozen=True)
class Area:
    """One class that the photo shows.

    Attributes:
        index: the class, as in `class_map`.
        name: its raw name in the model's categories.
        pixels: how many pixels carry it.
        fraction: the same as a share of the photo, in (0, 1].
        confidence: mean confidence of those pixels, in (0, 1].
    """

    index: int
    name: str
    pixels: int
    fraction: float
    confidence: float


@dataclass(frozen=True, eq=False)
class Region:
    """One connected region of one class.

    Attributes:
        index: the class, as in `class_map`.
        name: its raw name in the model's categories.
        box: (top, left, bottom, right) in pixels, half-open: rows top to bottom - 1.
        pixels: how many pixels it has.
        fraction: the same as a share of the photo, in (0, 1].
        confidence: mean confidence of those pixels, in (0, 1].
        crop: (bottom - top, right - left) bool, the mask inside the box.
        size: (H, W) of the photo.
    """

    index: int
    name: str
    box: tuple[int, int, int, int]
    pixels: int
    fraction: float
    confidence: float
    crop: np.ndarray
    size: tuple[int, int]

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, true where the region is; made anew at each call, to save memory."""
        top, left, bottom, right = self.box
        mask = np.zeros(self.size, bool)
        mask[top:bottom, left:right] = self.crop
        return mask


@dataclass(frozen=True, eq=False)
class Pixel:
    """What the network thinks of one pixel.

    Attributes:
        probabilities: (C,) float32, softmax of the upsampled logits.
        margin: winner's probability less the runner-up's, in [0, 1].
        entropy: in bits, from 0 (certain) to log2 C (no idea).
        prediction_set: indices of the classes that it may be, the likeliest first; None where
            nobody has measured how likely a class must be (`Segmentation.set_threshold`).
    """

    probabilities: np.ndarray
    margin: float
    entropy: float
    prediction_set: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A labelled photo. The arrays are read-only.

    Attributes:
        class_map: (H, W) uint8, the winning class of each pixel, at the photo's full size.
        confidence: (H, W) float32 in (0, 1], softmax of the winning class.
        runner_up: (H, W) uint8, the class with the second largest logit.
        logits: (C, h, w) float32 on the CPU, at the network's own resolution.
        categories: C raw class names.
        model: name of the model that answered.
        device: where it ran.
        seconds: from the opened photo to this result.
        precision: what the network computed in: "float32", "bfloat16" or "float16".
        set_sizes: (H, W) uint8, how many classes a pixel may be (see `postprocessing`). None where
            the model's card has no measured threshold for the size that the network was shown.
        set_threshold: probability from which a class belongs to a pixel's set, or None likewise.
    """

    class_map: np.ndarray
    confidence: np.ndarray
    runner_up: np.ndarray
    logits: torch.Tensor
    categories: tuple[str, ...]
    model: str
    device: str
    seconds: float
    precision: str = "float32"
    set_sizes: np.ndarray | None = None
    set_threshold: float | None = None

    def __post_init__(self) -> None:
        for array in (self.class_map, self.confidence, self.runner_up, self.set_sizes):
            if array is not None:
                array.flags.writeable = False

    @property
    def height(self) -> int:
        """Rows of the photo."""
        return self.class_map.shape[0]

    @property
    def width(self) -> int:
        """Columns of the photo."""
        return self.class_map.shape[1]

    @property
    def unsure(self) -> float | None:
        """Share of the pixels that may be two classes or more, in [0, 1]; None where unknown."""
        return None if self.set_sizes is None else float(np.mean(self.set_sizes > 1))

    def areas(self) -> list[Area]:
        """Classification: every class that has a pixel (background too), largest first."""
        flat = self.class_map.ravel()
        counts, sums = _tally(flat, self.confidence.ravel(), len(self.categories))
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], i))
        return [
            Area(
                index=i,
                name=self.categories[i],
                pixels=int(counts[i]),
                fraction=int(counts[i]) / flat.size,
                confidence=min(1.0, float(sums[i] / counts[i])),
            )
            for i in order
        ]

    def regions(self, min_fraction: float = 0.001, *, background: bool = False) -> list[Region]:
        """Bounding and masking: the connected regions, largest first.

        Pixels are connected through their four sides (not corners).

        Args:
            min_fraction: regions smaller than this share of the photo are left out, in [0, 1].
            background: also the regions of a class 0 named background, which is no object.

        Returns:
            A list of regions with box, size, mean confidence and mask.
        """
        if not 0 <= min_fraction <= 1:
            raise PixelwiseError(f"min_fraction is {min_fraction}: it must lie between 0 and 1")
        skip = 0 if not background and self.categories[0] in BACKGROUND_NAMES else None
        total = self.class_map.size
        found = label_components(
            self.class_map, skip=skip, min_pixels=max(1, math.ceil(min_fraction * total - 1e-9))
        )
        regions = []
        for component in found:
            top, left, bottom, right = component.box
            inside = self.confidence[top:bottom, left:right][component.crop]
            regions.append(
                Region(
                    index=component.index,
                    name=self.categories[component.index],
                    box=component.box,
                    pixels=component.pixels,
                    fraction=component.pixels / total,
                    confidence=min(1.0, float(inside.mean(dtype=np.float64))),
                    crop=component.crop,
                    size=self.class_map.shape,
                )
            )
        return regions

    def probabilities_at(self, y: int, x: int) -> np.ndarray:
        """Probabilities of all classes at a pixel: (C,) float32, summing to 1.

        Softmax of the bilinearly upsampled logits; the largest is `class_map[y, x]`.

        Args:
            y: row in [0, height).
            x: column in [0, width).

        Raises:
            PixelError: the photo has no such pixel.
        """
        y, x = self._inside(y, x)
        logits = pixel_logits(self.logits, self.class_map.shape, y, x)  # (C,)
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def pixel(self, y: int, x: int) -> Pixel:
        """Probabilities, margin, entropy and set at a pixel; see `probabilities_at`."""
        probabilities = self.probabilities_at(y, x)
        second, first = np.sort(probabilities)[-2:]
        known = probabilities[probabilities > 0].astype(np.float64)
        entropy = max(0.0, float(-(known * np.log2(known)).sum()))
        likely = None
        if self.set_threshold is not None:
            likely = prediction_set(probabilities, self.set_threshold)
        return Pixel(probabilities, float(first - second), entropy, likely)

    def _inside(self, y: int, x: int) -> tuple[int, int]:
        try:
            y, x = operator.index(y), operator.index(x)
        except TypeError:
            raise PixelError(f"pixel ({y!r}, {x!r}): row and column are whole numbers") from None
        height, width = self.class_map.shape
        if not (0 <= y < height and 0 <= x < width):
            raise PixelError(
                f"pixel ({y}, {x}) lies outside the photo: rows go from 0 to {height - 1}, "
                f"columns from 0 to {width - 1}"
            )
        return y, x


def _tally(
    class_map: np.ndarray, confidence: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and sum of confidence of each class, both arrays flat.

    Neighbours mostly share a class, so runs are added up and then counted. In blocks, as bincount
    makes wide copies.
    """
    counts, sums = np.zeros(classes), np.zeros(classes)
    for start in range(0, class_map.size, _TALLY_PIXELS):
        labels = class_map[start : start + _TALLY_PIXELS]
        weights, lengths = confidence[start : start + _TALLY_PIXELS], None
        runs = np.flatnonzero(labels[1:] != labels[:-1])
        if len(runs) < labels.size // 8:
            runs = np.concatenate([[0], runs + 1])
            lengths = np.diff(runs, append=labels.size)
            weights = np.add.reduceat(weights, runs, dtype=np.float64)
            labels = labels[runs]
        counts += np.bincount(labels, lengths, minlength=classes)
        sums += np.bincount(labels, weights, minlength=classes)
    return counts.astype(np.int64), sums
