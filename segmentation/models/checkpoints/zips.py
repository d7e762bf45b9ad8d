"""Whole or not: torch writes zip archives, but reads them without looking at their checksums."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

MAX_UNPACKED_BYTES = 4 << 30
MAX_UNPACKED_RATIO = 4  # torch packs nothing; where a person does, weights shrink by a tenth
SPARE_BYTES = 16 << 20  # ... and JSON to a twentieth
MAX_TABLE_BYTES = 4 << 20  # of the table of parts: about 40,000; torch writes one a tensor


def zip_error(file: BinaryIO | Path) -> str | None:
    """What is wrong with a zip archive, or None if every part has its checksum.

    Reads each part once, in small pieces. Nothing is read where the parts claim more than 4 GB
    together, or more than 4 times the bytes of the file (and 16 MB), or where their table is larger
    than 4 MB.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return zip_error(opened)
    size = file.seek(0, io.SEEK_END)
    table = _table_bytes(file)
    if table > MAX_TABLE_BYTES:
        return f"its table of parts has {table} bytes: at most {MAX_TABLE_BYTES} are read"
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(part.file_size for part in archive.infolist())
            if total > MAX_UNPACKED_RATIO * size + SPARE_BYTES:
                return f"its {size} bytes unpack to {total}: torch packs nothing, so save it anew"
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


def _table_bytes(file: BinaryIO) -> int:
    """Bytes of a zip archive's table of parts as its last record states them, or 0.

    The records are those of PKWARE's APPNOTE 4.3.14 to 4.3.16, found as Python's `zipfile` does.
    """
    size = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or end + 22 > len(tail):
        return 0
    (table,) = struct.unpack_from("<L", tail, end + 12)
    if end >= 20 and tail.startswith(b"PK\6\7", end - 20):  # the locator of a zip64 record
        file.seek(max(0, start + end - 20 - 56))
        record = file.read(56)
        if record.startswith(b"PK\6\6"):
            (table,) = struct.unpack_from("<Q", record, 40)
    return table
