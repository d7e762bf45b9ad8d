"""Which classes a pixel may be: sets that hold the true class with a known probability.

A pixel's set has every class whose probability reaches a threshold. `training.calibration` measures
that threshold on validation photos, so that 95 sets in 100 hold the true class (least ambiguous
sets: Sadinle, Lei, Wasserman, arXiv 1609.00451). A pixel that no class reaches the threshold at
gets its two likeliest classes: it is unsure as well, and more true classes are covered, not fewer.
"""

import numpy as np

FALLBACK_CLASSES = 2


def prediction_set(probabilities: np.ndarray, threshold: float) -> tuple[int, ...]:
    """Class indices of one pixel's set, the likeliest first.

    Args:
        probabilities: (C,) floats that add up to 1.
        threshold: in (0, 1).
    """
    order = np.argsort(-probabilities, kind="stable")
    size = int(set_sizes(probabilities[:, None], np.float32(1), threshold)[0])
    return tuple(order[:size].tolist())


def set_sizes(weights: np.ndarray, total: np.ndarray, threshold: float) -> np.ndarray:
    """How many classes each pixel's set has.

    Args:
        weights: (C, ...) floats in proportion to the probabilities, such as exponentials of logits.
        total: (...) their sum.
        threshold: in (0, 1), of the probabilities.

    Returns:
        (...) uint8 from 1 up.
    """
    likely = weights >= np.asarray(total * np.float32(threshold))
    sizes = likely.sum(axis=0, dtype=np.uint8)
    sizes[sizes == 0] = FALLBACK_CLASSES
    return sizes
