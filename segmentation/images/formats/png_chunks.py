"""Open PNGs as browsers do: a damaged chunk that the pixels do not need is no error.

Pillow stops at a wrong checksum, at a short chunk and at megabytes of text, wherever they are. So
it gets only the chunks that make the image. Chunks: the PNG specification, third edition, sections
5 and 11.
"""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from segmentation.errors import ImageError

MAX_PROFILE_BYTES = 4_000_000
"""A larger colour profile is ignored; those of printing presses have up to 3 MB."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT")
_USED = (b"tRNS", b"eXIf", b"acTL", b"fcTL")
_STRIP_ROWS = 64
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a colour type


class OpenPng(NamedTuple):
    """A PNG that is not loaded yet."""

    image: PngImagePlugin.PngImageFile
    codes: tuple[int, int] | None  # primaries and transfer, as H.273 numbers them
    notes: list[str]  # for the user


def open_png(subject: str, data: bytes) -> OpenPng:
    """Open a PNG with only the chunks that its image needs.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.

    Raises:
        ImageError: A chunk with pixels is damaged, or the file is of a kind that is not read.
    """
    parts, profile, codes, colors = [_SIGNATURE], None, None, -1
    notes: list[str] = []
    for kind, at, size in _chunks(data):
        body = data[at : at + size]
        if kind == b"CgBI":
            raise ImageError(
                f"{subject} is a PNG of Apple's own kind (CgBI), as iOS apps carry. "
                "Open it on a Mac and save it as an ordinary PNG."
            )
        if kind == b"PLTE":
            colors = size // 3
        intact = _is_intact(data, kind, at, size)
        if kind == b"PLTE" and not intact and data[25] != 3:
            continue  # only a suggestion where pixels are not indices
        if kind in _CRITICAL:
            if not intact and at + size + 4 <= len(data):
                name = kind.decode()
                raise ImageError(
                    f"{subject} is damaged: its {name} chunk has a wrong checksum. Copy it again."
                )
            parts.append(data[at - 8 : at + size + 4])
        elif intact and kind == b"cICP" and size == 4:
            codes = body[0], body[1]
        elif intact and kind == b"iCCP":
            profile, notes = _profile(body)
        elif intact and kind in _USED and _fits(kind, body, data, colors):
            parts.append(data[at - 8 : at + size + 4])
    image = PngImagePlugin.PngImageFile(io.BytesIO(b"".join(parts)))
    if profile and codes is None:  # cICP takes precedence over a profile (11.3.2)
        image.info["icc_profile"] = profile
    return OpenPng(image, codes, notes)


def load_png(image: PngImagePlugin.PngImageFile, data: bytes) -> Image.Image:
    """Load the image, with a key colour scaled as its pixels are.

    Args:
        image: From `open_png`.
        data: The file's bytes.
    """
    depth, key = data[24], image.info.get("transparency")
    if depth == 16 and image.mode == "RGB" and isinstance(key, tuple):
        return _with_16_bit_key(image, key)
    image.load()
    if image.mode == "L" and depth in (2, 4) and isinstance(key, int):
        # Pillow scales the pixels of such a PNG, but not the key colour
        image.info["transparency"] = key * (255 // ((1 << depth) - 1))
    return image


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return each chunk's type, the position of its content, and the length that it declares."""
    chunks, at = [], len(_SIGNATURE)
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunks.append((kind, at + 8, size))
        if kind == b"IEND":
            break
        at += 12 + size
    return chunks


def _is_intact(data: bytes, kind: bytes, at: int, size: int) -> bool:
    end = at + size
    return data[end : end + 4] == struct.pack(">I", zlib.crc32(data[at:end], zlib.crc32(kind)))


def _fits(kind: bytes, body: bytes, data: bytes, colors: int) -> bool:
    """Return whether a chunk has the length that its type needs."""
    if kind == b"tRNS":
        if data[25] == 3:
            return 0 < len(body) <= colors
        return data[25] in (0, 2) and len(body) == 2 * _SAMPLES[data[25]]
    return len(body) == {b"acTL": 8, b"fcTL": 26}.get(kind, len(body)) and bool(body)


def _profile(body: bytes) -> tuple[bytes | None, list[str]]:
    """Decompress a colour profile; return None and a note if it is broken or too large."""
    packed = body.partition(b"\0")[2][1:]
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return None, ["its colour profile is broken and was ignored"]
    if unpacking.unconsumed_tail:
        limit = MAX_PROFILE_BYTES / 1e6
        return None, [f"its colour profile has more than {limit:g} MB and was ignored"]
    return profile, []


def _with_16_bit_key(image: PngImagePlugin.PngImageFile, key: tuple[int, ...]) -> Image.Image:
    """Return RGBA in which only pixels with all 16 bits of the key colour are transparent.

    Pillow decodes only the high bytes. Decoding the file as little-endian gives the low ones.
    """
    low = PngImagePlugin.PngImageFile(io.BytesIO(image.fp.getvalue()))
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    width, height = image.size
    alpha = Image.new("L", image.size)
    image.load()
    low.load()
    high_key, low_key = [value >> 8 for value in key], [value & 255 for value in key]
    for top in range(0, height, _STRIP_ROWS):
        box = (0, top, width, min(top + _STRIP_ROWS, height))
        clear = (np.asarray(image.crop(box)) == high_key) & (np.asarray(low.crop(box)) == low_key)
        alpha.paste(Image.fromarray(np.where(clear.all(-1), 0, 255).astype(np.uint8)), box)
    del low
    del image.info["transparency"]
    image.putalpha(alpha)
    return image
