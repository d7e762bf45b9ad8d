"""A colour scale for numbers."""

import numpy as np

# viridis (Smith and van der Walt, CC0) at ten even steps
_ANCHORS = (
    *("440154", "482878", "3e4989", "31688e", "26828e"),
    *("1f9e89", "35b779", "6dcd59", "b4de2c", "fde725"),
)


def _table() -> np.ndarray:
    anchors = np.array([list(bytes.fromhex(color)) for color in _ANCHORS], np.float64)  # (10, 3)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


HEAT = _table()
"""(256, 3) uint8: viridis, dark blue to yellow, of evenly rising lightness."""


def apply_colormap(values: np.ndarray) -> np.ndarray:
    """Numbers as colours: (H, W) in [0, 1] to (H, W, 3) uint8; what lies outside is clipped."""
    return HEAT[(np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)]
