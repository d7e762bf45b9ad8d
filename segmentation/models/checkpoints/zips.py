"""Verify the checksums of a zip archive, which torch ignores when it reads one."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

MAX_UNPACKED_BYTES = 4 << 30
MAX_UNPACKED_RATIO = 4  # torch does not compress; weights that are compressed shrink by a tenth
SPARE_BYTES = 16 << 20  # JSON shrinks to a twentieth
MAX_TABLE_BYTES = 4 << 20  # of the table of parts: about 40,000; torch writes one a tensor


def zip_error(file: BinaryIO | Path) -> str | None:
    """Return what is wrong with a zip archive, or None if all checksums are correct.

    Each part is read once, in small pieces. No part is read if together they claim more than 4 GB,
    or more than 4 times the bytes of the file plus 16 MB, or if their table is larger than 4 MB.
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
    except (
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:  # encrypted, unknown method
        return f"it is packed in an odd way ({error})"
    return (
        f"it was changed or damaged: the checksum of its part {part!r} is wrong" if part else None
    )


def _table_bytes(file: BinaryIO) -> int:
    """Return the size in bytes of a zip archive's table of parts, from its last record, or 0.

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
