"""A TIFF reader: turn the samples of `tiff_samples` into an image that a screen can show.

`tiff_support` refuses kinds that are not read, by name. An image that would be nearly black is
stretched, with a note. Pillow decodes JPEG and fax compression, which fix what the samples mean.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, TiffImagePlugin

from segmentation.errors import ImageError
from segmentation.images.formats import tiff_tags as tag
from segmentation.images.formats.tiff_samples import chunk_layout, sample_blocks
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
from segmentation.images.value_range import (
    DARK,
    LIMITS,
    ValueRange,
    conventional_range,
    stretched,
)

PAGES_NOTE = "several pages: the first is shown"

_ORIENTATION = 0x0112  # the EXIF tag
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_ALPHA_MODES = {("L", 1): "La", ("L", 2): "LA", ("RGB", 1): "RGBa", ("RGB", 2): "RGBA"}


class TiffReader:
    """A TIFF file with a parsed first directory.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.

    Attributes:
        size: (width, height) as stored.

    Raises:
        ImageError: A kind of TIFF that is not read, by name.
    """

    def __init__(self, subject: str, data: bytes) -> None:
        self._subject, self._data = subject, data
        self._facts = facts = read_facts(subject, data)
        self.size = facts.width, facts.height

    def load(self) -> tuple[Image.Image, list[str]]:
        """Decode the first image, with its orientation as EXIF, and notes for the user.

        Raises:
            ImageError: The file is cut short or damaged.
        """
        facts = self._facts
        notes = [PAGES_NOTE] if facts.pages else []
        chunk_layout(self._subject, self._data, facts)  # refuses a file that is cut short
        if facts.compression in (*CCITT, *JPEG):
            with TiffImagePlugin.TiffImageFile(io.BytesIO(self._data)) as image:
                image.load()  # applies the orientation, too
                return image, notes
        try:
            image = self._painted(notes)
        except (OSError, SyntaxError) as error:
            name = BYTES[facts.compression] or "plain"
            raise ImageError(
                f"{self._subject} is damaged, or cut short: its pixels ({name} compression) "
                "cannot be unpacked. Copy it again."
            ) from error
        image.getexif()[_ORIENTATION] = facts.directory.number(tag.ORIENTATION, 1)
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
        """Return Pillow's mode, and a function from (rows, W, samples) to its channels."""
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
        opaque = float(2**facts.bits - 1) if facts.format == UINT else 1.0
        shown = ValueRange(0.0, opaque, None) if facts.photometric == CMYK else self._range()
        if shown.note:
            notes.append(shown.note)

        def to_8_bits(block: np.ndarray) -> np.ndarray:
            color = _scaled(block[..., : facts.colors], shown.low, shown.high)
            if facts.photometric == WHITE_IS_ZERO:
                color = 255 - color
            if used == facts.colors:
                return color
            alpha = _scaled(block[..., facts.colors : used], 0.0, opaque)
            return np.concatenate([color, alpha], -1)

        return mode, to_8_bits

    def _range(self) -> ValueRange:
        """Return black and white: fixed for few bits, from a field, or from the values."""
        facts = self._facts
        limit = float(2**facts.bits - 1)
        if facts.format == UINT and facts.bits <= 8:
            return ValueRange(0.0, limit, None)
        declared = max(facts.directory.numbers(tag.MAX_VALUE)[: facts.colors], default=0)
        enough = DARK * limit if facts.format == UINT and not declared else np.inf
        low, high = self._extremes(enough)
        if facts.format == UINT and 0 < declared < limit and high <= declared:
            return ValueRange(0.0, float(declared), None)
        if facts.format == UINT and facts.bits <= 16:
            return conventional_range(low, high, (0.0, limit))
        return conventional_range(low, high, LIMITS["f" if facts.format == FLOAT else "i"])

    def _extremes(self, enough: float) -> tuple[float, float]:
        """Return the least and greatest finite colour value, or stop at the first of `enough`."""
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
    """Return the value in GDAL's field that stands for no measurement."""
    text = facts.directory.raw(tag.NODATA).rstrip(b"\0 ")
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _color_map(facts: Facts) -> np.ndarray:
    """Return (256, 3) uint8; colours that the file lacks are black."""
    values = np.array(facts.directory.numbers(tag.COLOR_MAP), np.uint16)
    values = values[: len(values) // 3 * 3].reshape(3, -1).T[:256]
    # 16 bits by the standard; old writers stored 8. libtiff makes the same distinction.
    colors = values >> 8 if values.max() >= 256 else values
    return np.pad(colors.astype(np.uint8), ((0, 256 - len(colors)), (0, 0)))


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the same as `stretched`, by a table for small whole numbers."""
    if values.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and low == 0:
        limit = int(high)
        numbers = np.arange(limit + 1, dtype=np.uint32)
        table = ((numbers * 255 + limit // 2) // limit).astype(np.uint8)
        return np.take(table, values, mode="clip")
    return stretched(values, low, high)
