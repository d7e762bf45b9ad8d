"""Palettes, and conversion between class maps and colours."""

from collections.abc import Callable, Sequence

import numpy as np

from segmentation.errors import ModelError, PaletteError

# Black, and 20 colours that were found by simulated annealing over a 16 x 16 x 16 grid of sRGB: all
# are bright (CIELAB lightness 50 or more), person is blue, far from skin, and the smallest
# distance in CIELAB is as large as was found, with normal vision and with protanopia,
# deuteranopia and tritanopia. Classes that share photos (people and animals; what stands in a
# room; what drives on a street) count more than the rest: test_palette.py has the figures.
_SAFE_COLORS = (
    "000000",
    "55dd88",
    "ff11ee",
    "cc33bb",
    "ddaaff",
    "ff99bb",
    "669944",
    "ff3399",
    "ff0077",
    "887711",
    "ff7766",
    "118877",
    "eeee00",
    "33ffee",
    "88dd55",
    "1199ff",
    "ddccff",
    "bbff88",
    "ccaa11",
    "ff0022",
    "99ffbb",
)


def voc_palette() -> np.ndarray:
    """Return the 256 colours of PASCAL VOC's annotations.

    The three lowest bits of an index are the highest bits of red, green and blue, the next three
    the second highest bits, and so on (`VOClabelcolormap.m` of the VOC development kit).

    Returns:
        (256, 3) uint8 RGB; all entries differ, entry 0 is black, 255 the "void" (224, 224, 192).
    """
    rest = np.arange(256, dtype=np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(7, -1, -1):
        for channel in range(3):
            palette[:, channel] |= ((rest >> channel) & 1) << bit
        rest >>= 3
    return palette


def safe_palette() -> np.ndarray:
    """Return bright colours for photos that differ for colour-blind people; the page's default.

    Made for VOC's classes: of the first 21 entries, those whose classes share photos differ most.
    From index 21 on it has the remaining VOC colours, which are distinct but not optimised.

    Returns:
        (256, 3) uint8 RGB; all entries differ, entry 0 is black.
    """
    return _pad(np.array([list(bytes.fromhex(color)) for color in _SAFE_COLORS], np.uint8))


PALETTES: dict[str, Callable[[], np.ndarray]] = {"voc": voc_palette, "safe": safe_palette}
"""Functions that return the built-in palettes, by name."""


def palette_from_card(palette: str | Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Return the palette of a model's card.

    Args:
        palette: name of a palette ("voc", "safe"), or RGB triples from 0 to 255, at least one per
            class.
        num_classes: number of the model's classes, 1 to 256.

    Returns:
        (256, 3) uint8 RGB; a shorter list is extended with VOC colours that it does not contain.
        Entries are distinct unless the list itself repeats a colour.

    Raises:
        ModelError: the palette or the number of classes is invalid.
    """
    if not 1 <= num_classes <= 256:
        raise ModelError(f"The card lists {num_classes} classes; 1 to 256 can be shown.")
    if isinstance(palette, str):
        if palette not in PALETTES:
            names = ", ".join(f'"{name}"' for name in PALETTES)
            raise ModelError(
                f'The card names the palette "{palette[:40]}"; use {names}, or a list of '
                "[red, green, blue]."
            )
        return PALETTES[palette]()
    if not isinstance(palette, list | tuple):
        raise ModelError(
            f"The card's palette is {type(palette).__name__}, not a name or a list of colours."
        )
    if not num_classes <= len(palette) <= 256:
        raise ModelError(
            f"The card's palette has {len(palette)} colours for {num_classes} classes: "
            "give one per class, at most 256."
        )
    for index, color in enumerate(palette):
        if not _is_rgb(color):
            raise ModelError(
                f"Colour {index} of the card's palette is {color!r:.60}, "
                "not [red, green, blue] from 0 to 255."
            )
    return _pad(np.array(palette, np.uint8))


def colorize(class_map: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Replace each class index by its colour.

    Args:
        class_map: (H, W) of an integer dtype, usually uint8.
        palette: (N, 3) uint8 RGB.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        PaletteError: a shape or dtype is wrong, or the palette has no colour for an index.
    """
    check_palette(palette)
    check_class_map(class_map, len(palette))
    return np.take(palette, class_map, axis=0)  # (H, W, 3)


def decode(colors: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Convert colours to class indices: the inverse of `colorize`.

    Args:
        colors: (H, W, 3) uint8 RGB, every pixel a colour of the palette.
        palette: (N, 3) uint8 RGB; of equal entries, the lowest index is returned.

    Returns:
        (H, W) uint8 class map.

    Raises:
        PaletteError: a shape or dtype is wrong, or the palette lacks a colour; the message names
            the first such pixel.
    """
    check_palette(palette)
    if getattr(colors, "dtype", None) != np.uint8 or colors.ndim != 3 or colors.shape[2] != 3:
        raise PaletteError(f"Colours must be (H, W, 3) uint8, not {_describe(colors)}.")
    codes = _pack(palette)  # (N,) uint32
    # one byte for each 24-bit colour; the system allocates only the memory pages that are written
    index_of = np.zeros(1 << 24, np.uint8)
    index_of[codes[::-1]] = np.arange(len(palette), dtype=np.uint8)[::-1]
    class_map = np.empty(colors.shape[:2], np.uint8)
    height, width = class_map.shape
    rows = max(1, (1 << 18) // max(1, width))
    for top in range(0, height, rows):
        strip_codes = _pack(colors[top : top + rows])  # (rows, W) uint32
        strip = index_of[strip_codes]
        class_map[top : top + rows] = strip
        unknown = codes[strip] != strip_codes  # (rows, W) bool
        if unknown.any():
            y, x = (int(n) for n in np.unravel_index(int(unknown.argmax()), unknown.shape))
            raise PaletteError(
                f"Colour #{int(strip_codes[y, x]):06x} at pixel (y={top + y}, x={x}) is not in the "
                "palette; was the image resized, blended or saved as JPEG?"
            )
    return class_map


def _is_rgb(color: object) -> bool:
    return (
        isinstance(color, list | tuple)
        and len(color) == 3
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in color)
    )


def _pack(colors: np.ndarray) -> np.ndarray:
    """Convert colours (..., 3) uint8 to 0xRRGGBB, (...) uint32."""
    red, green, blue = (colors[..., channel].astype(np.uint32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def _pad(colors: np.ndarray) -> np.ndarray:
    """Extend (N, 3) colours to (256, 3) with the VOC colours that they lack."""
    voc = voc_palette()
    free = voc[~np.isin(_pack(voc), _pack(colors))]
    return np.concatenate([colors, free[: 256 - len(colors)]])


def _describe(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.shape} {array.dtype}"
    return type(array).__name__


def check_palette(palette: np.ndarray) -> None:
    """Raise `PaletteError` unless the palette is (1 to 256, 3) uint8."""
    if (
        not isinstance(palette, np.ndarray)
        or palette.dtype != np.uint8
        or palette.ndim != 2
        or palette.shape[1] != 3
        or not 1 <= len(palette) <= 256
    ):
        raise PaletteError(f"A palette is (1 to 256, 3) uint8, not {_describe(palette)}.")


def check_class_map(class_map: np.ndarray, num_colors: int) -> None:
    """Raise `PaletteError` unless the map is (H, W) of integers from 0 to `num_colors` - 1."""
    if (
        not isinstance(class_map, np.ndarray)
        or class_map.ndim != 2
        or not np.issubdtype(class_map.dtype, np.integer)
    ):
        raise PaletteError(f"A class map is (H, W) of integers, not {_describe(class_map)}.")
    if class_map.size == 0 or (class_map.dtype == np.uint8 and num_colors == 256):
        return
    low, high = int(class_map.min()), int(class_map.max())
    if low < 0 or high >= num_colors:
        invalid = low if low < 0 else high
        y, x = (int(n) for n in np.argwhere(class_map == invalid)[0])
        raise PaletteError(
            f"Index {invalid} at pixel (y={y}, x={x}) has no colour: the palette ends at "
            f"{num_colors - 1}."
        )
