"""Detect truncated clips from the sizes in the file's own headers.

FFmpeg may decode a truncated file without an error. Headers: ISO/IEC 14496-12, 4.2 (MP4, MOV), and
Microsoft's RIFF (AVI). Other containers carry no size, or FFmpeg reports them.
"""

import os
from pathlib import Path
from typing import BinaryIO

_MAX_BOXES = 10_000
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def ends_too_early(path: Path) -> bool:
    """Return whether the file is shorter than its headers say.

    Args:
        path: an existing file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] == b"RIFF":
            size = int.from_bytes(head[4:8], "little")
            return (
                size not in _UNKNOWN_SIZES and size + 8 > length + 1
            )  # the padding byte may be missing
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return False
        end, kinds = _boxes(file, length)
        return end > length or b"moov" not in kinds  # moov is the index, which recorders write last


def _boxes(file: BinaryIO, length: int) -> tuple[int, set[bytes]]:
    """Return the offset of the last box's end, and the types of all boxes."""
    offset, kinds = 0, set()
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].isalnum():  # the end, or trailing data
            break
        kinds.add(head[4:8])
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        offset = offset + size if size >= 8 else length  # size 0: to the end of the file
    return offset, kinds
