"""Smooth the labels of video frames over time, so that they do not flicker.

Three parts:

* Exponential smoothing (R. G. Brown, "Exponential Smoothing for Predicting Demand", 1956) of the
  class probabilities, cell by cell at the network's resolution: `p += a * (new - p)`. Frames are
  not evenly spaced, so the weight follows from a time constant: `a = 1 - exp(-elapsed / seconds)`.
* The weight rises to 1 where the image has changed, as in motion-adaptive noise filters
  (E. Dubois and S. Sabri, "Noise reduction in image sequences using motion-compensated temporal
  filtering", IEEE Trans. Communications 32(7), 1984): moving objects leave no ghost. Miksik,
  Munoz, Bagnell and Hebert ("Efficient temporal consistency for streaming video scene analysis",
  ICRA 2013) follow each pixel by optical flow instead; that costs more than a small network.
* Hysteresis: where nothing has changed, the odds of a cell's current class are multiplied by
  `hysteresis`, like a hidden Markov model's prior for remaining in a state. Two equally
  likely classes do not alternate.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from segmentation.inference.postprocessing import argmax_first

SECONDS = 0.3
"""Time constant: without motion, a new class has 63 % of the weight after this time."""
HYSTERESIS = 1.3
"""Factor on the odds of the current label where the image has not changed."""
STILL, MOVED = 4.0, 16.0
"""Mean change of a cell, in levels of 255: less than the first is noise, more than the second is
motion."""
MAX_CELLS = 1 << 14
"""Largest number of cells to smooth."""
_MIN_PROBABILITY = np.float32(1e-8)


class Smoother:
    """Smooths the class probabilities of the frames of one camera or clip.

    Args:
        seconds: time constant, above 0.
        hysteresis: factor on the odds of the current label, at least 1.
    """

    def __init__(self, seconds: float = SECONDS, hysteresis: float = HYSTERESIS) -> None:
        if not seconds > 0 or not hysteresis >= 1:
            raise ValueError(
                f"seconds is {seconds} (above 0), hysteresis is {hysteresis} (at least 1)"
            )
        self.seconds = seconds
        self.hysteresis = hysteresis
        self.reset()

    def reset(self) -> None:
        """Discard the state, so that the next frame counts as the first."""
        self._mean: np.ndarray | None = None  # (C, h, w) float32
        self._cells: np.ndarray | None = None  # (h, w, 3) float32, the previous frame
        self._labels: np.ndarray | None = None  # (h, w) uint8, the current labels

    @property
    def nbytes(self) -> int:
        """Size of the state in bytes."""
        state = (self._mean, self._cells, self._labels)
        return sum(array.nbytes for array in state if array is not None)

    def __call__(self, logits: torch.Tensor, image: np.ndarray, elapsed: float) -> torch.Tensor:
        """Add a frame and return the smoothed class scores.

        Args:
            logits: (C, h, w) float32, the network's output for this frame.
            image: (H, W, 3) uint8 RGB, the frame; H >= h and W >= w.
            elapsed: seconds since the previous frame.

        Returns:
            (C, h, w) float32 smoothed log-probabilities, for `postprocessing.decide`. h and w are
            halved until there are at most `MAX_CELLS` cells. The first frame, and the first with
            another size or number of classes, is not smoothed.
        """
        new = torch.softmax(_coarse(logits.float()), dim=0).numpy()
        cells = _cells(image, new.shape[1:])
        if self._mean is None or self._mean.shape != new.shape:
            self._mean, self._cells = new, cells
            scores = np.log(np.maximum(new, _MIN_PROBABILITY))
        else:
            motion = _motion(cells, self._cells)  # (h, w) in [0, 1]
            base_weight = np.float32(1 - math.exp(-max(elapsed, 0.0) / self.seconds))
            new -= self._mean
            new *= base_weight + (1 - base_weight) * motion
            self._mean += new
            self._cells = cells
            scores = np.maximum(self._mean, _MIN_PROBABILITY, out=new)
            np.log(scores, out=scores)
            bonus = (1 - motion) * np.float32(math.log(self.hysteresis))
            planes = scores.reshape(len(scores), -1)
            planes[self._labels.ravel(), np.arange(planes.shape[1])] += bonus.ravel()
        self._labels = argmax_first(scores, scores.max(axis=0))
        return torch.from_numpy(scores)


def _coarse(logits: torch.Tensor) -> torch.Tensor:
    """Halve (C, h, w) logits until they have at most `MAX_CELLS` cells.

    Many networks upsample their output eight times in each direction. Nearest sampling loses little
    there, and a mean would take ten times as long.
    """
    height, width = logits.shape[1:]
    while height * width > MAX_CELLS:
        height, width = max(1, height // 2), max(1, width // 2)
    if (height, width) == logits.shape[1:]:
        return logits
    return F.interpolate(logits[None], size=(height, width), mode="nearest-exact")[0]


def _cells(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the frame's mean colour in each cell of the network's output: (h, w, 3) float32."""
    height, width = size
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _motion(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Estimate whether each cell or a neighbour has moved: (h, w) from 0 (no) to 1 (yes).

    The median change of each colour is subtracted first: a camera's exposure control changes every
    cell without motion.
    """
    change = now - before
    change -= np.median(change, axis=(0, 1))
    level = np.abs(change).mean(axis=2)
    motion = np.clip((level - STILL) / (MOVED - STILL), 0, 1)
    padded = np.pad(motion, 1, mode="edge")
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
