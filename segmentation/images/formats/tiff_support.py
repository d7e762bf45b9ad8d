"""Decide which TIFFs are read, and name what keeps the others from it."""

import contextlib
import struct
from typing import NamedTuple, NoReturn

from segmentation.errors import ImageError
from segmentation.images.file_types import RAW, refusal
from segmentation.images.formats import tiff_tags as tag
from segmentation.images.formats.tiff_tags import Directory, first_directory, read_directory

UINT, INT, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
CIELAB = 8
NONE, CCITT, JPEG = (1,), (2, 3, 4), (7,)
BYTES = {1: "", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
BYTES |= {34925: "LZMA", 50000: "Zstandard"}
"""Compressions that do not depend on what the bytes mean."""

_UNREAD_COMPRESSIONS = {6: "old-style JPEG", 50001: "WebP", 34887: "LERC", 34892: "lossy JPEG"}
_UNREAD_COMPRESSIONS |= dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000")
_UNREAD_COMPRESSIONS |= dict.fromkeys((50002, 52546), "JPEG XL")
_UNREAD_COMPRESSIONS |= {32766: "NeXT", 32809: "ThunderScan", 34676: "LogLuv", 34677: "LogLuv"}
_UNREAD_COMPRESSIONS |= dict.fromkeys((9, 10, 34661), "JBIG")
_UNREAD_COMPRESSIONS |= {22610: "JPEG XR", 33007: "Nikon JPEG"}
_RAW_PHOTOMETRICS = (32803, 34892)  # a sensor's mosaic, a sensor's linear values
# Nikon NEF, Sony ARW, packed sensor values, Samsung SRW, Pentax PEF, Kodak
_RAW_COMPRESSIONS = (34713, 32767, 32769, 32770, 65535, 65000)
_MAKES = {b"NIKON": "Nikon NEF", b"SONY": "Sony ARW", b"CANON": "Canon", b"PENTAX": "Pentax PEF"}
_MAKES |= {b"SAMSUNG": "Samsung SRW", b"HASSELBLAD": "Hasselblad 3FR", b"EASTMAN KODAK": "Kodak"}
_PHOTOMETRICS = {MASK: "a transparency mask", YCBCR: "YCbCr"}
_PHOTOMETRICS |= {9: "ICC L*a*b* samples (photometric 9)", 10: "ITU L*a*b* samples"}
_PHOTOMETRICS |= {32844: "LogL", 32845: "LogLuv", 51177: "a depth map", 52527: "a semantic mask"}
_FORMATS = {UINT: "", INT: "signed ", FLOAT: "float "}
_DEPTHS = {UINT: (*range(1, 17), 32, 64), INT: (8, 16, 32, 64), FLOAT: (16, 32, 64)}
_COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, CIELAB: 3}
_MAX_SAMPLES = 16


class Facts(NamedTuple):
    """The layout of a TIFF's first image."""

    directory: Directory
    width: int  # as stored
    height: int
    bits: int
    format: int  # UINT, INT or FLOAT
    samples: int  # per pixel, extra ones included
    photometric: int
    compression: int
    planar: bool
    alpha: int  # of the first extra sample: 0 none, 1 premultiplied, 2 straight
    pages: bool  # whether there are more images than this

    @property
    def colors(self) -> int:
        """The number of a pixel's samples that make its colour; those after them are extra."""
        bands = self.photometric == BLACK_IS_ZERO and self.samples - bool(self.alpha) >= 3
        return 3 if bands else _COLORS.get(self.photometric, self.samples)


def read_facts(subject: str, data: bytes) -> Facts:
    """Return the layout of a TIFF that can be read.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.

    Raises:
        ImageError: A TIFF that is not read, with what was found and the remedy.
    """
    try:
        directory = first_directory(data)
    except struct.error:
        directory = None
    if directory is None or directory.cut:
        raise ImageError(
            f"{subject} is cut short: a part of its directory is missing. Copy it again."
        )
    _refuse_raw(subject, data, directory)
    samples = directory.number(tag.SAMPLES, 1)
    extras = directory.numbers(tag.EXTRAS)
    facts = Facts(
        directory=directory,
        width=directory.number(tag.WIDTH, 0),
        height=directory.number(tag.HEIGHT, 0),
        bits=directory.number(tag.BITS, 1),
        format=directory.number(tag.FORMAT, UINT) if directory.number(tag.FORMAT, 1) != 4 else UINT,
        samples=samples,
        photometric=directory.number(tag.PHOTOMETRIC, -1),
        compression=directory.number(tag.COMPRESSION, 1),
        planar=directory.number(tag.PLANAR, 1) == 2 and samples > 1,
        alpha=extras[0] if extras and extras[0] in (1, 2) else 0,
        pages=_has_pages(data, directory),
    )
    reason = _unread_kind(facts)
    if reason:
        _refuse(subject, reason)
    return facts


def _refuse(subject: str, reason: str) -> NoReturn:
    raise ImageError(
        f"{subject} is a TIFF {reason}, which is not read here. "
        "Save it as an 8-bit RGB TIFF, a PNG or a JPEG."
    )


def _unread_kind(facts: Facts) -> str | None:
    """Return what keeps a TIFF from being read, or None."""
    directory = facts.directory
    if facts.compression not in (*NONE, *CCITT, *JPEG, *BYTES):
        name = _UNREAD_COMPRESSIONS.get(facts.compression, f"number {facts.compression}")
        return f"with {name} compression"
    if facts.photometric not in _COLORS and (facts.photometric, facts.compression) != (YCBCR, 7):
        if facts.photometric < 0:
            return "that does not say what its samples mean (no photometric field)"
        name = _PHOTOMETRICS.get(facts.photometric, f"photometric {facts.photometric}")
        return (
            f"of {name} samples that are not JPEG-compressed" if name == "YCbCr" else f"of {name}"
        )
    if len(set(directory.numbers(tag.BITS))) > 1 or len(set(directory.numbers(tag.FORMAT))) > 1:
        return f"of samples with different depths ({directory.numbers(tag.BITS)} bits)"
    if facts.bits not in _DEPTHS.get(facts.format, ()):
        kind = _FORMATS.get(facts.format, "complex ")
        return f"of {kind}{facts.bits}-bit samples"
    if directory.number(tag.DEPTH, 1) != 1:
        return "of a volume"
    if not 1 <= facts.samples <= _MAX_SAMPLES:
        return f"of {facts.samples:,} bands (samples a pixel)"
    return _unread_colors(facts) or _unread_coding(facts)


def _unread_colors(facts: Facts) -> str | None:
    kind, bits, extra = facts.photometric, facts.bits, facts.samples - facts.colors
    unsigned = facts.format == UINT
    if extra < 0:
        return f"of {facts.samples} bands (samples a pixel) where {facts.colors} are needed"
    if kind in (WHITE_IS_ZERO, BLACK_IS_ZERO) and extra:
        if facts.colors == 1 and (facts.samples > 2 or not facts.alpha):
            return f"of {facts.samples} bands (samples a pixel), none of which is declared as alpha"
        if facts.colors == 3 and facts.samples - bool(facts.alpha) > 4:
            return f"of {facts.samples} bands (samples a pixel), of which no three are named as RGB"
    if kind == WHITE_IS_ZERO and not unsigned:
        return f"of {_FORMATS[facts.format]}{bits}-bit samples where white is zero"
    if facts.alpha and not unsigned and facts.format != FLOAT:
        return f"of signed {bits}-bit samples with alpha"
    if kind == PALETTE and (
        not unsigned or bits > 8 or extra or not facts.directory.numbers(tag.COLOR_MAP)
    ):
        return f"of a palette with {bits}-bit indices and {extra} extra samples"
    if kind == CMYK and (not unsigned or bits not in (8, 16) or extra):
        return f"of {bits}-bit CMYK with {extra} extra samples"
    if kind == CMYK and facts.directory.number(tag.INKS, 1) != 1:
        return "of inks other than CMYK"
    if kind == CIELAB and (not unsigned or bits != 8 or extra):
        return f"of {bits}-bit L*a*b* with {extra} extra samples"
    return None


def _unread_coding(facts: Facts) -> str | None:
    directory, bits = facts.directory, facts.bits
    bilevel = facts.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and facts.samples == bits == 1
    if facts.compression in CCITT and not bilevel:
        return f"of {bits}-bit samples with fax compression"
    if facts.compression in JPEG and (
        bits != 8
        or facts.format != UINT
        or facts.planar
        or (facts.photometric, facts.samples) not in ((BLACK_IS_ZERO, 1), (RGB, 3), (YCBCR, 3))
    ):
        return (
            f"of {facts.samples} {bits}-bit samples (photometric {facts.photometric}"
            f"{', plane by plane' * facts.planar}) with JPEG compression"
        )
    predictor = directory.number(tag.PREDICTOR, 1)
    if facts.compression in (5, 8, 32946, 34925, 50000) and (
        predictor not in (1, 2, 3)
        or (predictor == 2 and (facts.format == FLOAT or bits not in (8, 16, 32, 64)))
        or (predictor == 3 and facts.format != FLOAT)
    ):
        return f"of {bits}-bit samples with predictor {predictor}"
    plain = facts.compression in CCITT or (bilevel and facts.compression in NONE)
    if directory.number(tag.FILL_ORDER, 1) == 2 and not plain:
        return f"of {bits}-bit samples whose bits are in reversed order (fill order 2)"
    return None


def _refuse_raw(subject: str, data: bytes, directory: Directory) -> None:
    """Refuse camera RAW files, which are TIFFs whose first image is mostly a thumbnail."""
    make = directory.raw(tag.MAKE).upper()
    name = next((name for start, name in _MAKES.items() if make.startswith(start)), "TIFF")
    if tag.DNG in directory.tags:
        raise ImageError(refusal(subject, f"{RAW} (DNG)"))
    others = [*directory.numbers(tag.SUB_DIRECTORIES)[:8], directory.next_at]
    for each in [directory, *_directories(data, others)]:
        is_raw = each.number(tag.PHOTOMETRIC, -1) in _RAW_PHOTOMETRICS
        if is_raw or each.number(tag.COMPRESSION, 1) in _RAW_COMPRESSIONS:
            raise ImageError(refusal(subject, f"{RAW} ({name})"))
    size = directory.number(tag.WIDTH, 0) * directory.number(tag.HEIGHT, 0)
    reduced = directory.number(tag.SUBFILE, 0) & 1
    for each in _directories(data, others):
        if reduced and each.number(tag.WIDTH, 0) * each.number(tag.HEIGHT, 0) > size:
            _refuse(subject, "whose first picture is a thumbnail of another one")


def _directories(data: bytes, offsets: list[int]) -> list[Directory]:
    directories = []
    for at in offsets:
        if 0 < at < len(data):
            with contextlib.suppress(struct.error):
                directories.append(read_directory(data, at))
    return directories


def _has_pages(data: bytes, directory: Directory) -> bool:
    """Return whether the next directory is a page: neither a smaller copy nor a mask."""
    following = _directories(data, [directory.next_at])
    return bool(following) and not following[0].number(tag.SUBFILE, 0) & 5
