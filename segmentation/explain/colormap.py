"""Map numbers to the colours of viridis."""

import numpy as np

# viridis (Smith and van der Walt, CC0) at ten equal steps
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
"""(256, 3) uint8: viridis, dark blue to yellow; lightness increases uniformly."""


def apply_colormap(values: np.ndarray) -> np.ndarray:
    """Convert values (H, W), clipped to [0, 1], to colours (H, W, 3) uint8; NaN counts as 0."""
    return HEAT[(np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)]
