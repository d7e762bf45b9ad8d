"""What the headers of PNG, GIF and WebP say, read without a decoder; and the limit of pixels."""

import struct

from segmentation.errors import ImageError

# Counting goes no further than this.
MOST_FRAMES = 1000


def check_size(subject: str, width: int, height: int, max_megapixels: float | None) -> None:
    """Refuse a picture without pixels, or with more than the limit.

    Args:
        subject: How a message calls the picture.
        width: In pixels, as height.
        height: See width.
        max_megapixels: The limit in millions of pixels; None for no limit.

    Raises:
        ImageError: With the numbers.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{subject} says it is {width} x {height} pixels: there is no picture.")
    megapixels = width * height / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        raise ImageError(
            f"{subject} is {width:,} x {height:,} pixels ({megapixels:,.1f} megapixels); "
            f"the limit is {max_megapixels:g} megapixels. Make it smaller first."
        )


def header_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """The (width, height) that a PNG, GIF or WebP claims; None for others and broken headers."""
    try:
        if kind == "PNG" and data[12:16] == b"IHDR":
            return struct.unpack_from(">II", data, 16)
        if kind == "GIF":
            return struct.unpack_from("<HH", data, 6)
        if kind == "WEBP":
            return _webp_size(data)
    except struct.error:
        return None
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X":  # 24 bits each, minus one
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":  # 14 bits each, minus one, after a signature byte
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":  # 14 bits each, after a frame tag and a start code of three bytes each
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def count_gif_frames(data: bytes) -> int:
    """How many pictures a GIF holds, by walking its blocks; 1,000 stands for any more.

    Args:
        data: The file's bytes; a broken file is counted as far as it goes.
    """
    frames, at = 0, 13 + _color_table(data, 10)
    while at < len(data) and frames < MOST_FRAMES:
        if data[at] == 0x2C:  # a picture: position and size, maybe colours, code size, data
            frames += 1
            at = _skip_blocks(data, at + 11 + _color_table(data, at + 9))
        elif data[at] == 0x21:  # an extension
            at = _skip_blocks(data, at + 2)
        else:  # the trailer, or junk
            break
    return frames


def _color_table(data: bytes, at: int) -> int:
    """Bytes of the colour table that the flags at a position announce."""
    if at >= len(data) or not data[at] & 0x80:
        return 0
    return 3 << ((data[at] & 7) + 1)


def _skip_blocks(data: bytes, at: int) -> int:
    """The position after a chain of length-prefixed blocks."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
