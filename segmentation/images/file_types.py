"""Recognise a file's format by its content, read or not, and word the refusal.

The signatures are those in each format's own specification.
"""

import codecs
import struct

ACCEPTED = "a JPEG, PNG, WebP, AVIF, GIF, HEIC, TIFF or BMP picture"

READ = frozenset(("JPEG", "PNG", "WEBP", "AVIF", "GIF", "HEIF", "TIFF", "BMP"))
"""The formats that are read, as `sniff` returns them."""

RAW = "a camera RAW file"

_HEAD = 4096
_BMP_HEADERS = (12, *range(16, 65), 108, 124)

# First bytes of a file -> its format. Formats that are read have Pillow's names.
_PICTURES = (
    (b"\xff\xd8\xff\xf7", "a JPEG-LS picture"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0\x10\0\0\0CR\2", f"{RAW} (Canon CR2)"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_RAWS = (
    (b"II\x1a\0\0\0HEAPCCDR", f"{RAW} (Canon CRW)"),
    (b"FUJIFILMCCD-RAW", f"{RAW} (Fujifilm RAF)"),
    (b"IIRO", f"{RAW} (Olympus ORF)"),
    (b"IIRS", f"{RAW} (Olympus ORF)"),
    (b"MMOR", f"{RAW} (Olympus ORF)"),
    (b"IIU\0", f"{RAW} (Panasonic RW2)"),
    (b"FOVb", f"{RAW} (Sigma X3F)"),
    (b"\0MRM", f"{RAW} (Minolta MRW)"),
    (b"ARRI\x12\x34\x56\x78", f"{RAW} (ARRI)"),
    (b"NOKIARAW", f"{RAW} (Nokia NRW)"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"\0\0\1\0", "a Windows icon (ICO)"),
    (b"icns", "a macOS icon (ICNS)"),
    (b"qoif", "a QOI picture"),
    (b"DDS ", "a DDS texture"),
    (b"\xabKTX ", "a KTX texture"),
    (b"gimp xcf", "a GIMP document"),
    (b"v/1\1", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"#?RGBE", "a Radiance HDR picture"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"CDF\1", "a NetCDF file"),
    (b"CDF\2", "a NetCDF file"),
    (b"NITF", "a NITF picture"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\1\0\x09\0", "a Windows metafile (WMF)"),
    (b"\2\0\x09\0", "a Windows metafile (WMF)"),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (b"\x8bJNG\r\n\x1a\n", "a JNG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"farbfeld", "a farbfeld picture"),
    (b"\1\xda", "an SGI picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (b"SDPX", "a DPX picture"),
    (b"XPDS", "a DPX picture"),
    (b"\x80\x2a\x5f\xd7", "a Cineon picture"),
    (b"id=ImageMagick", "a MIFF picture"),
    (b"/* XPM */", "an XPM picture"),
    (b"AT&TFORM", "a DjVu document"),
    (b"FORM", "an IFF file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"FLV\1", "a Flash video"),
    (b"FWS", "a Flash film"),
    (b"CWS", "a Flash film"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"\0\0\1\xb3", "an MPEG video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
    (b"fLaC", "a FLAC recording"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PAR1", "a Parquet table"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"\0\5\x16\7", "macOS's notes on another file (AppleDouble)"),
    (b"\0\5\x16\0", "a macOS AppleSingle file"),
    (b"bplist00", "a macOS property list"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
# Bytes at another position: (position, bytes, format).
_FARTHER = (
    (128, b"DICM", "a DICOM picture"),
    (344, b"n+1\0", "a NIfTI volume"),
    (344, b"ni1\0", "a NIfTI volume"),
    (4, b"n+2\0\r\n\x1a\n", "a NIfTI volume"),
    (40, b" EMF", "a Windows metafile (EMF)"),
    (257, b"ustar", "a tar archive"),
    (4, b"\x11\xaf", "an FLI animation"),
    (4, b"\x12\xaf", "an FLI animation"),
    (8, b"IIII", f"{RAW} (Phase One IIQ)"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PNM = {b"1": "PBM", b"4": "PBM", b"2": "PGM", b"5": "PGM", b"3": "PPM", b"6": "PPM", b"7": "PAM"}

# Remedies other than choosing another file.
_REMEDIES = {
    RAW: "export it as JPEG, with the camera's program or a photo editor, and drop that",
    "a Git LFS pointer": "the picture itself is fetched by `git lfs pull`",
    "macOS's notes on another file (AppleDouble)": (
        "the picture is the file with the same name without ._ in front"
    ),
}


def sniff(data: bytes) -> str:
    """Return a file's format by its content.

    Args:
        data: The file's bytes, or at least the first 4,096.

    Returns:
        Pillow's name of a format in `READ` ("JPEG", "WEBP"), or words for anything else, most with
        an article ("a PDF document", "text").
    """
    head = bytes(data[:_HEAD])
    for prefix, kind in _PICTURES:
        if head.startswith(prefix):
            return kind
    if head[:4] in (b"RIFF", b"RIFX"):
        return _RIFF.get(head[8:12], "a RIFF file")
    if head[4:8] == b"ftyp":
        return _sniff_boxes(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[:2] == b"BA" and head[14:16] == b"BM":
        return "an OS/2 array of bitmaps"
    for prefix, kind in (*_RAWS, *_OTHERS):
        if head.startswith(prefix):
            return kind
    if head[:4] == b"\0\0\2\0":  # a Targa image may begin so, too
        return _sniff_bare(data) or "a Windows cursor (CUR)"
    for at, part, kind in _FARTHER:
        if head[at : at + len(part)] == part:
            return kind
    return _sniff_pnm(head) or _sniff_text(head) or _sniff_bare(data) or "a file of unknown kind"


_RIFF = {
    b"WEBP": "WEBP",
    b"WAVE": "a WAV recording",
    b"AVI ": "an AVI video",
    b"ACON": "an animated Windows cursor (ANI)",
}


def refusal(subject: str, kind: str) -> str:
    """Return the message about a file of a format that is not read.

    Args:
        subject: The file's name in messages.
        kind: The format in words, from `sniff` or a reader.
    """
    for name, remedy in _REMEDIES.items():
        if kind.startswith(name):
            return f"{subject} is {kind}, not a picture to label: {remedy}."
    return f"{subject} is {kind}, not a picture to label: drop {ACCEPTED}."


def _sniff_boxes(head: bytes) -> str:
    """Tell AVIF, HEIF and videos apart by the brands in the first box (ISO/IEC 14496-12)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if b"crx " in brands:
        return f"{RAW} (Canon CR3)"
    if any(brand in (b"avif", b"avis") for brand in brands):
        return "AVIF"
    if any(brand in _HEIF_BRANDS for brand in brands):
        return "HEIF"
    return "a video"


def _sniff_pnm(head: bytes) -> str | None:
    name = _PNM.get(head[1:2]) if head[:1] == b"P" and head[2:3] in b" \t\r\n#" else None
    if head[:3] in (b"PF\n", b"Pf\n"):
        name = "PFM"
    return f"a {name} picture" if name and head[2:] else None


def _sniff_text(head: bytes) -> str | None:
    if not head.strip(b"\0"):
        return "nothing but zeros"
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        # Not final: the first bytes may end within a character.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    if not text or any(ord(c) < 32 and c not in "\t\n\r\f\x1b" for c in text):
        return None
    start = text.lstrip().lower()
    if "<svg" in start and start.startswith(("<svg", "<?xml", "<!--", "<!doctype svg")):
        return "an SVG drawing"
    if start.startswith("<!doctype html") or "<html" in start:
        return "an HTML page"
    return "text"


def _sniff_bare(data: bytes) -> str | None:
    """Recognise formats without a signature by a plausible header."""
    head = bytes(data[:128])
    if len(head) >= 18:
        _, has_map, kind = head[:3]
        width, height, depth, flags = struct.unpack_from("<HHBB", head, 12)
        plausible = width and height and depth in (8, 15, 16, 24, 32) and not flags & 0xC0
        known = kind in (1, 2, 3, 9, 10, 11) and has_map == (kind in (1, 9))
        if (plausible and known) or bytes(data[-18:]) == b"TRUEVISION-XFILE.\0":
            return "a Targa picture (TGA)"
    pcx = len(head) == 128 and head[0] == 10 and head[1] in (0, 2, 3, 4, 5) and head[2] == 1
    if pcx and head[3] in (1, 2, 4, 8) and head[65] in (1, 2, 3, 4):
        return "a PCX picture"
    if head[:4] in (b"\x5c\1\0\0", b"\0\0\1\x5c") and len(data) >= 348:
        return "a NIfTI volume"
    return None
