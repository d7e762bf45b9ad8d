"""From a path or bytes to the bytes of one file, and what kind of file they are."""

import codecs
import os
import stat
from pathlib import Path

from segmentation.errors import ImageError

ACCEPTED = "a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF picture"

# An uncompressed 16-bit RGB picture takes 6 bytes a pixel; a larger file holds something else.
_BYTES_PER_PIXEL = 6
_SPARE_BYTES = 1 << 20

# What a file begins with -> what it is. The pictures that are opened bear Pillow's names.
_PICTURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"qoif", "a QOI picture"),
    (b"DDS ", "a DDS texture"),
    (b"gimp xcf", "a GIMP document"),
    (b"v/1\1", "an OpenEXR picture"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
    (b"fLaC", "a FLAC recording"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SQLite format 3\0", "a SQLite database"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def read_source(
    source: str | os.PathLike | bytes, max_bytes: int | None, max_megapixels: float | None
) -> tuple[str, bytes]:
    """The bytes of one regular file, and how a message should call it.

    Args:
        source: A path, or the bytes themselves.
        max_bytes: The most bytes to accept, or None for what the megapixels could need.
        max_megapixels: The limit that `max_bytes=None` is derived from; None for no limit.

    Returns:
        subject ("'cat.jpg'" or "This file"), data.

    Raises:
        ImageError: No such file, not a regular file, not allowed to read, empty or too large.
    """
    if max_bytes is None and max_megapixels is not None:
        max_bytes = int(max_megapixels * 1e6 * _BYTES_PER_PIXEL) + _SPARE_BYTES
    if isinstance(source, bytes | bytearray | memoryview):
        subject, data = "This file", bytes(source)
        _check_bytes(subject, len(data), max_bytes)
    else:
        path = os.fsdecode(os.fspath(source))
        subject = subject_of(path)
        data = _read_path(path, subject, max_bytes)
    if not data:
        raise ImageError(f"{subject} is empty.")
    return subject, data


def subject_of(path: str) -> str:
    """A file's name for a message: no folders, printable, safe in a page, 60 characters at most."""
    name = Path(path).name or path
    safe = "".join(c if c.isprintable() and c not in "<>&\"'`" else "?" for c in name[-1000:])
    if len(safe) > 60:
        safe = f"{safe[:40]}...{safe[-17:]}"
    return f"'{safe}'"


def sniff(data: bytes) -> str:
    """What a file is, by its first bytes.

    Args:
        data: The file's bytes, or at least the first 4,096.

    Returns:
        Pillow's name of a format ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM",
        "HEIF"), or words with an article for anything else ("a PDF document", "text").
    """
    head = bytes(data[:4096])
    for prefix, kind in _PICTURES:
        if head.startswith(prefix):
            return kind
    if head[:4] == b"RIFF":
        return "WEBP" if head[8:12] == b"WEBP" else "a WAV or AVI recording"
    if head[4:8] == b"ftyp":
        return _sniff_boxes(head)
    if head[:2] == b"BM" and head[14:18] in [bytes([n, 0, 0, 0]) for n in _BMP_HEADERS]:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456f" and head[2:3] in b" \t\r\n#" and head[2:]:
        return "PPM"
    for prefix, kind in _OTHERS:
        if head.startswith(prefix):
            return kind
    return _sniff_text(head)


_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def _sniff_boxes(head: bytes) -> str:
    """ISO base media: AVIF, HEIF and videos differ by the brands that the first box lists."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if any(brand in (b"avif", b"avis") for brand in brands):
        return "AVIF"
    if any(brand in _HEIF_BRANDS for brand in brands):
        return "HEIF"
    return "a video"


def _sniff_text(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "nothing but zeros"
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        # Not final: the head may end within a character.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return "a file of unknown kind"
    if not text or any(ord(c) < 32 and c not in "\t\n\r\f\x1b" for c in text):
        return "a file of unknown kind"
    start = text.lstrip().lower()
    if "<svg" in start and start.startswith(("<svg", "<?xml", "<!--", "<!doctype svg")):
        return "an SVG drawing"
    if start.startswith("<!doctype html") or "<html" in start:
        return "an HTML page"
    return "text"


def _read_path(path: str, subject: str, max_bytes: int | None) -> bytes:
    if not path:
        raise ImageError("The path is empty: name a picture file.")
    if "\0" in path:
        raise ImageError(f"{subject} has a NUL character in its path, which no file can have.")
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        _check_regular(os.stat(path), subject)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        hint = " Download the picture first." if "://" in path else ""
        raise ImageError(f"{subject} does not exist.{hint}") from None
    except PermissionError:
        raise ImageError(f"{subject} may not be read: its permissions forbid it.") from None
    except (OSError, ValueError) as error:  # ValueError: characters that no file name can have
        reason = getattr(error, "strerror", None) or "not a name that a file can have"
        raise ImageError(f"{subject} cannot be opened: {reason.lower()}.") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status, subject)  # again: the path may name another file by now
        _check_bytes(subject, status.st_size, max_bytes)
        # One byte more than the size at opening, in case the file is growing.
        data = file.read(status.st_size + 1)
    _check_bytes(subject, len(data), max_bytes)
    return data


def _check_regular(status: os.stat_result, subject: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{subject} is a folder: name a picture file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{subject} is a device or a pipe, not a picture file.")


def _check_bytes(subject: str, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise ImageError(
            f"{subject} has {size / 1e6:,.1f} MB; the limit is {max_bytes / 1e6:,.1f} MB. "
            "Save it smaller."
        )
