"""TIFF files: the samples of `tiff_samples` as a picture that a screen can show.

What is not read is refused by name (`tiff_facts`); what would be nearly black is stretched, with a
note. JPEG and fax compression, which decide themselves what they hold, are left to Pillow.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, TiffImagePlugin

from segmentation.errors import ImageError
from segmentation.images.formats import tiff_tags as tag
from segmentation.images.formats.tiff_samples import check_extent, sample_blocks
from segmentation.images.formats.tiff_support import (
    BYTES,
    CCITT,
    CIELAB,
    CMYK,
    FLOAT,
    JPEG,
    PALETTE,
    UINT,
    WHITE_IS_ZERO,
    Facts,
    read_facts,
)
from segmentation.images.value_range import DARK, LIMITS, ValueRange, conventional_range

PAGES_NOTE = "several pages: the first is shown"

_ORIENTATION = 0x0112  # the EXIF tag
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_ALPHA_MODES = {("L", 1): "La", ("L", 2): "LA", ("RGB", 1): "RGBa", ("RGB", 2): "RGBA"}


class TiffReader:
    """A TIFF whose first directory was read.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.

    Attributes:
        size: (width, height) as stored.

    Raises:
        ImageError: A TIFF of a kind that is not read, named.
    """

    def __init__(self, subject: str, data: bytes) -> None:
        self._subject, self._data = subject, data
        self._facts = facts = read_facts(subject, data)
        self.size = facts.width, facts.height

    def load(self) -> tuple[Image.Image, list[str]]:
        """The first picture, its orientation as EXIF, and notes for the person.

        Raises:
            ImageError: The file is cut short or damaged.
        """
        facts = self._facts
        notes = [PAGES_NOTE] if facts.pages else []
        check_extent(self._subject, self._data, facts)
        if facts.compression in (*CCITT, *JPEG):
            with TiffImagePlugin.TiffImageFile(io.BytesIO(self._data)) as image:
                image.load()  # turns it, too
                return image, notes
        try:
            image = self._painted(notes)
        except (OSError, SyntaxError) as error:
            name = BYTES[facts.compression] or "plain"
            raise ImageError(
                f"{self._subject} is damaged, or cut short: its pixels ({name} compression) "
                "cannot be unpacked. Copy it again."
            ) from error
        image.getexif()[_ORIENTATION] = facts.directory.one(tag.ORIENTATION, 1)
        profile = facts.directory.raw(tag.PROFILE)
        if profile:
            image.info["icc_profile"] = profile
        return image, notes

    def _painted(self, notes: list[str]) -> Image.Image:
        facts = self._facts
        mode, to_8_bits = self._converter(notes)
        image = Image.new(mode, self.size)
        for top, block in sample_blocks(self._subject, self._data, facts):
            pixels = np.ascontiguousarray(to_8_bits(block))  # (rows, W, channels)
            size = (facts.width, len(pixels))
            image.paste(Image.frombytes(mode, size, pixels.tobytes(), "raw", mode), (0, top))
        return image

    def _converter(self, notes: list[str]) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
        """Pillow's mode, and what makes its channels of (rows, W, samples)."""
        facts = self._facts
        if facts.photometric == PALETTE:
            colors = _color_map(facts)
            return "RGB", lambda block: colors[block[..., 0]]
        if facts.photometric == CIELAB:
            return "LAB", lambda block: block
        mode = _MODES[facts.colors]
        used = facts.colors
        if facts.alpha and mode != "CMYK":
            mode, used = _ALPHA_MODES[mode, facts.alpha], facts.colors + 1
        if facts.colors == 3 and (facts.photometric != 2 or facts.samples > used):
            notes.append(f"{facts.samples} bands: the first three are shown as red, green, blue")
        whole = float(2**facts.bits - 1) if facts.format == UINT else 1.0
        shown = ValueRange(0.0, whole, None) if facts.photometric == CMYK else self._range()
        if shown.note:
            notes.append(shown.note)

        def to_8_bits(block: np.ndarray) -> np.ndarray:
            color = _scaled(block[..., : facts.colors], shown.low, shown.high)
            if facts.photometric == WHITE_IS_ZERO:
                color = 255 - color
            if used == facts.colors:
                return color
            alpha = _scaled(block[..., facts.colors : used], 0.0, whole)
            return np.concatenate([color, alpha], -1)

        return mode, to_8_bits

    def _range(self) -> ValueRange:
        """Black and white: fixed for few bits, told by the file, or found in its values."""
        facts = self._facts
        most = float(2**facts.bits - 1)
        if facts.format == UINT and facts.bits <= 8:
            return ValueRange(0.0, most, None)
        told = max(facts.directory.many(tag.MOST_VALUE)[: facts.colors], default=0)
        low, high = self._extremes(DARK * most if facts.format == UINT and not told else np.inf)
        if facts.format == UINT and 0 < told < most and high <= told:
            return ValueRange(0.0, float(told), None)
        if facts.format == UINT and facts.bits <= 16:
            return conventional_range(low, high, (0.0, most))
        limits = LIMITS["f" if facts.format == FLOAT else "i"]
        if facts.format == UINT:
            return conventional_range(low, high, limits)
        if facts.format == FLOAT:
            return conventional_range(low, high, limits)
        return conventional_range(min(low, -1.0) if low < 0 else low, high, limits)

    def _extremes(self, enough: float) -> tuple[float, float]:
        """The least and greatest finite colour value; the search ends at one of `enough`."""
        facts, low, high = self._facts, np.inf, -np.inf
        nodata = _nodata(facts)
        for _, block in sample_blocks(self._subject, self._data, facts):
            values = block[..., : facts.colors]
            if facts.format == FLOAT:
                values = values[np.isfinite(values)]
            if nodata is not None:
                values = values[values != nodata]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
            if high >= enough:
                break
        return low, high


def _nodata(facts: Facts) -> float | None:
    """The value that GDAL's field says stands for no measurement."""
    text = facts.directory.raw(tag.NODATA).rstrip(b"\0 ")
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _color_map(facts: Facts) -> np.ndarray:
    """(256, 3) uint8; colours that the file does not give are black."""
    values = np.array(facts.directory.many(tag.COLOR_MAP), np.uint16)
    values = values[: len(values) // 3 * 3].reshape(3, -1).T[:256]
    # 16 bits by the standard; old writers gave 8, which libtiff tells apart in the same way
    colors = values >> 8 if values.max() >= 256 else values
    return np.pad(colors.astype(np.uint8), ((0, 256 - len(colors)), (0, 0)))


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """rint(255 * (value - low) / (high - low)) within 0 to 255, uint8; no number becomes 0."""
    if values.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and low == 0:
        most = int(high)
        numbers = np.arange(most + 1, dtype=np.uint32)
        table = ((numbers * 255 + most // 2) // most).astype(np.uint8)
        return np.take(table, values, mode="clip")
    scaled = (values.astype(np.float64) - low) * (255 / (high - low or 1))
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)
