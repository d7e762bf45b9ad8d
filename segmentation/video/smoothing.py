"""Labels of moving pictures that do not flicker: each frame's answer joined to the ones before.

Three parts, each old and plain:

* Exponential smoothing (R. G. Brown, "Exponential Smoothing for Predicting Demand", 1956) of the
  class probabilities, cell by cell at the network's own resolution: `p += a * (new - p)`. Frames do
  not come evenly, so the weight is that of a time constant, `a = 1 - exp(-elapsed / seconds)`.
* The weight goes up to 1 where the picture itself has changed, as in motion-adaptive noise filters
  (E. Dubois and S. Sabri, "Noise reduction in image sequences using motion-compensated temporal
  filtering", IEEE Trans. Communications 32(7), 1984): what moves leaves no ghost behind. Miksik,
  Munoz, Bagnell and Hebert ("Efficient temporal consistency for streaming video scene analysis",
  ICRA 2013) follow each pixel by optical flow instead; that costs more than a small network.
* Hysteresis: where nothing has changed, the odds of the class that a cell has are multiplied by
  `stick`, as by the prior of a hidden Markov model that stays where it is more often than not. Two
  classes that are equally likely do not take turns.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from segmentation.inference.postprocessing import argmax_first

SECONDS = 0.3
"""Time constant: after a change without motion, 63 % of the new answer counts after so long."""
STICK = 1.3
"""By how much the odds of the present label are raised where the picture stands still."""
STILL, MOVED = 4.0, 16.0
"""Mean change of a cell, in levels of 255: less than the first is noise, more than the second is
motion."""
MAX_CELLS = 1 << 14
"""Cells that are smoothed at most."""
_LEAST = np.float32(1e-8)


class Smoother:
    """Smooths the answers to the frames of one camera or clip; the state is a few frames' logits.

    Args:
        seconds: time constant, above 0.
        stick: factor on the odds of the present label, at least 1.
    """

    def __init__(self, seconds: float = SECONDS, stick: float = STICK) -> None:
        if not seconds > 0 or not stick >= 1:
            raise ValueError(f"seconds is {seconds} (above 0), stick is {stick} (at least 1)")
        self.seconds = seconds
        self.stick = stick
        self.forget()

    def forget(self) -> None:
        """Begin anew with the next frame."""
        self._mean: np.ndarray | None = None  # (C, h, w) float32
        self._cells: np.ndarray | None = None  # (h, w, 3) float32, the last frame
        self._held: np.ndarray | None = None  # (h, w) uint8, the present labels

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between two frames."""
        kept = (self._mean, self._cells, self._held)
        return sum(array.nbytes for array in kept if array is not None)

    def __call__(self, logits: torch.Tensor, image: np.ndarray, elapsed: float) -> torch.Tensor:
        """Take the next frame in.

        Args:
            logits: (C, h, w) float32, the network's answer to this frame.
            image: (H, W, 3) uint8 RGB, the frame; H >= h and W >= w.
            elapsed: seconds since the frame before.

        Returns:
            (C, h, w) float32 log-probabilities of the smoothed answer, for `postprocess.decide`;
            h and w halved until they are `MAX_CELLS` cells at most.
            The first frame's, and the first of another size or another number of classes, are its
            own alone.
        """
        new = torch.softmax(_coarse(logits.float()), dim=0).numpy()
        cells = _cells(image, new.shape[1:])
        if self._mean is None or self._mean.shape != new.shape:
            self._mean, self._cells = new, cells
            scores = np.log(np.maximum(new, _LEAST))
        else:
            moved = _moved(cells, self._cells)  # (h, w) in [0, 1]
            least = np.float32(1 - math.exp(-max(elapsed, 0.0) / self.seconds))
            new -= self._mean
            new *= least + (1 - least) * moved
            self._mean += new
            self._cells = cells
            scores = np.maximum(self._mean, _LEAST, out=new)
            np.log(scores, out=scores)
            bonus = (1 - moved) * np.float32(math.log(self.stick))
            planes = scores.reshape(len(scores), -1)
            planes[self._held.ravel(), np.arange(planes.shape[1])] += bonus.ravel()
        self._held = argmax_first(scores, scores.max(axis=0))
        return torch.from_numpy(scores)


def _coarse(logits: torch.Tensor) -> torch.Tensor:
    """(C, h, w) logits, halved until they have at most `MAX_CELLS` cells.

    Many networks enlarge their own answer to the picture's size, eight times in each direction:
    every few pixels of it say all, and a mean of them all would take ten times as long.
    """
    height, width = logits.shape[1:]
    while height * width > MAX_CELLS:
        height, width = max(1, height // 2), max(1, width // 2)
    if (height, width) == logits.shape[1:]:
        return logits
    return F.interpolate(logits[None], size=(height, width), mode="nearest-exact")[0]


def _cells(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The frame's mean colour in each cell of the network's answer: (h, w, 3) float32."""
    height, width = size
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _moved(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """How sure it is that each cell, or one beside it, shows something else: (h, w) in [0, 1].

    The median change of each colour is taken away first: a camera that adapts to the light changes
    every cell, and nothing has moved.
    """
    change = now - before
    change -= np.median(change, axis=(0, 1))
    level = np.abs(change).mean(axis=2)
    moved = np.clip((level - STILL) / (MOVED - STILL), 0, 1)
    padded = np.pad(moved, 1, mode="edge")
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
