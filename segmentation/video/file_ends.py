"""Whether a clip's file ends before it should, by the sizes that its own parts name.

FFmpeg shows what is there and may say nothing. Parts: ISO/IEC 14496-12, 4.2 (MP4, MOV), and
Microsoft's RIFF (AVI). Other containers name no size, or FFmpeg complains of them.
"""

import os
from pathlib import Path
from typing import BinaryIO

_MOST_BOXES = 10_000
_UNTOLD = (0, 0xFFFFFFFF)


def ends_too_early(path: Path) -> bool:
    """Whether the file is shorter than its parts say.

    Args:
        path: an existing file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] == b"RIFF":
            size = int.from_bytes(head[4:8], "little")
            return size not in _UNTOLD and size + 8 > length + 1  # a byte of padding may be missing
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return False
        end, kinds = _boxes(file, length)
        return end > length or b"moov" not in kinds  # the index, which recorders write last


def _boxes(file: BinaryIO, length: int) -> tuple[int, set[bytes]]:
    """Where the last box ends, and which kinds there are."""
    at, kinds = 0, set()
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].isalnum():  # the end, or something behind it
            break
        kinds.add(head[4:8])
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        at = at + size if size >= 8 else length  # 0: up to the end of the file
    return at, kinds
