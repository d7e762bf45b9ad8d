"""Whole or not: torch writes zip archives, but reads them without looking at their checksums."""

import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

MAX_UNPACKED_BYTES = 4 << 30


def why_broken(file: BinaryIO | Path) -> str | None:
    """What is wrong with a zip archive, or None if every part has its checksum.

    Reads each part once, in small pieces; parts that claim more than 4 GB together are not read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(part.file_size for part in archive.infolist())
            if total > MAX_UNPACKED_BYTES:
                return (
                    f"it claims {total / 1e9:.1f} GB: at most {MAX_UNPACKED_BYTES >> 30} are read"
                )
            part = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        return f"it is truncated, or another kind of file ({error})"
    except (NotImplementedError, RuntimeError, ValueError) as error:  # encrypted, odd methods
        return f"it is packed in an odd way ({error})"
    return (
        f"it was changed or damaged: the checksum of its part {part!r} is wrong" if part else None
    )
