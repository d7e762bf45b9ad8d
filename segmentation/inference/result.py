"""The result of labelling a photo, and measurements of it that need no network.

The three steps of the article are classification (`areas`: which classes), bounding (`regions`: a
box for each connected region) and masking (`Region.mask`: which pixels).
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
    """A class that the photo shows.

    Attributes:
        index: the class, as in `class_map`.
        name: its raw name in the model's categories.
        pixels: number of pixels labelled with it.
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
    """A connected region of one class.

    Attributes:
        index: the class, as in `class_map`.
        name: its raw name in the model's categories.
        box: (top, left, bottom, right) in pixels, half-open: rows top to bottom - 1.
        pixels: number of pixels in it.
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
        """(H, W) bool, true inside the region; computed at each access, to save memory."""
        top, left, bottom, right = self.box
        mask = np.zeros(self.size, bool)
        mask[top:bottom, left:right] = self.crop
        return mask


@dataclass(frozen=True, eq=False)
class Pixel:
    """Probabilities of one pixel, and measures of their certainty.

    Attributes:
        probabilities: (C,) float32, softmax of the upsampled logits.
        margin: the winner's probability minus the runner-up's, in [0, 1].
        entropy: in bits, from 0 (certain) to log2 C (all classes equally likely).
        prediction_set: indices of the classes in the pixel's prediction set, most likely first;
            None if the result has no `set_threshold`.
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
        logits: (C, h, w) float32 on the CPU, at the resolution of the network's output.
        categories: C raw class names.
        model: name of the model.
        device: device that it ran on.
        seconds: from the opened photo to this result.
        precision: number format of the network: "float32", "bfloat16" or "float16".
        set_sizes: (H, W) uint8, number of classes in each pixel's prediction set (see
            `postprocessing`). None if the model's card has no threshold measured at the input size.
        set_threshold: minimum probability of a class in a pixel's prediction set; None likewise.
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
        """Share of pixels with two or more classes in their set, in [0, 1]; None without sets."""
        return None if self.set_sizes is None else float(np.mean(self.set_sizes > 1))

    def areas(self) -> list[Area]:
        """Return every class that has a pixel (background included), largest first."""
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
        """Return the connected regions (4-connectivity), largest first.

        Args:
            min_fraction: smallest region to return, as a share of the photo in [0, 1].
            background: whether to include the regions of class 0 if it is named background.

        Raises:
            PixelwiseError: `min_fraction` is outside [0, 1].
        """
        if not 0 <= min_fraction <= 1:
            raise PixelwiseError(f"min_fraction is {min_fraction}: it must lie between 0 and 1")
        skip = 0 if not background and self.categories[0] in BACKGROUND_NAMES else None
        total = self.class_map.size
        components = label_components(
            self.class_map, skip=skip, min_pixels=max(1, math.ceil(min_fraction * total - 1e-9))
        )
        regions = []
        for component in components:
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
        """Return the probabilities of all classes at a pixel: (C,) float32, with sum 1.

        They are the softmax of the bilinearly upsampled logits; the largest is `class_map[y, x]`.

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
        """Return probabilities, margin, entropy and prediction set; see `probabilities_at`."""
        probabilities = self.probabilities_at(y, x)
        second, first = np.sort(probabilities)[-2:]
        positive = probabilities[probabilities > 0].astype(np.float64)
        entropy = max(0.0, float(-(positive * np.log2(positive)).sum()))
        classes = None
        if self.set_threshold is not None:
            classes = prediction_set(probabilities, self.set_threshold)
        return Pixel(probabilities, float(first - second), entropy, classes)

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
    """Return the pixel count and the sum of confidence of each class; both arrays are flat.

    Neighbouring pixels mostly share a class, so runs are summed before they are counted. Works in
    blocks, because `bincount` converts its input to 64 bits.
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
