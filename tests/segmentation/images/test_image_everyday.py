"""Everyday files with small faults are read as browsers read them; really cut ones are refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers.pictures.bad_inputs import IDAT, IEND, chunk, png
from helpers.pictures.profiles import DISPLAY_P3, rgb_profile
from segmentation.errors import ImageError
from segmentation.images.indexed_png import open_png_values
from segmentation.images.photo import open_image, open_photo


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **({"quality": 90} | options))
    return file.getvalue()


@pytest.fixture
def pixels(rng):
    """(43, 61, 3) uint8, smooth with noise; no multiple of the blocks that JPEGs are made of."""
    y, x = np.mgrid[:43, :61]
    smooth = np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], -1)
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


KINDS = [
    {},
    {"progressive": True},
    {"optimize": True, "subsampling": 0},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
]

# JPEG


@pytest.mark.parametrize("options", KINDS)
def test_a_jpeg_without_its_end_marker_is_whole(options, pixels):
    data = jpeg(pixels, **options)
    want = open_photo(data)
    for tail in (b"", b"\xff", bytes(500), b"\xff\xff\xff", b"\xff" + bytes(99)):
        photo = open_photo(data[:-2] + tail)
        np.testing.assert_array_equal(photo.image, want.image)
        assert photo.notes == ()


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("filled", [False, True])
def test_a_jpeg_that_was_really_cut_is_refused(options, pixels, filled):
    data = jpeg(pixels, **options)
    scan = data.rindex(b"\xff\xda")
    for cut in [*range(4, 40), *range(40, len(data) - 640, 37), len(data) - scan]:
        short = data[:-cut] + bytes(cut if filled else 0)
        try:
            shown = open_image(short)
        except ImageError:
            continue
        assert cut < 12  # some bits at the end are mere filling
        np.testing.assert_array_equal(shown, open_image(data))


@pytest.mark.parametrize("options", [KINDS[0], KINDS[2], KINDS[3]])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_end_marker_does_not_make_a_cut_jpeg_whole(options, mode, pixels):
    data = jpeg(pixels if mode == "RGB" else pixels[..., 1], **options)
    scan = data.rindex(b"\xff\xda")
    for at in range(scan + 40, len(data) - 60, 41):
        with pytest.raises(ImageError, match="cut short"):
            open_photo(data[:at].rstrip(b"\xff") + b"\xff\xd9")


def test_a_picture_may_end_in_gray():
    for size in ((48, 64), (43, 61)):
        gray = np.full((*size, 3), 128, np.uint8)
        assert (open_image(jpeg(gray)) == 128).all()
        assert (open_image(jpeg(gray[..., 0], progressive=True)) == 128).all()


def test_a_progressive_jpeg_needs_all_its_scans(pixels):
    data = jpeg(pixels, progressive=True)
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 3
    for start in starts[1:]:
        ends = [data.rindex(b"\xff\xc4", 0, start), start, start + 4]  # before the tables, within
        for end in ends:
            with pytest.raises(ImageError, match="cut short"):
                open_photo(data[:end])


def test_gray_jpegs_lose_their_end_as_well(pixels):
    data = jpeg(pixels[..., 0])
    np.testing.assert_array_equal(open_image(data[:-2]), open_image(data))
    with pytest.raises(ImageError, match="cut short"):
        open_photo(data[:-30])


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC1, 12, "12-bit"),
        (0xC3, 16, "16-bit"),
        (0xF7, 8, "JPEG-LS"),
        (0xC5, 8, "hierarchical"),
        (0xCB, 8, "lossless JPEG with arithmetic"),
    ],
)
def test_jpegs_that_are_not_read_are_named(marker, bits, words, pixels):
    data = bytearray(jpeg(pixels))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    with pytest.raises(ImageError, match=f"{words}.*save it as an ordinary JPEG"):
        open_photo(bytes(data))


# PNG

WHITE = chunk(b"IDAT", zlib.compress((b"\0" + b"\xff" * 24) * 8))  # 8 x 8 RGB


@pytest.mark.parametrize(
    "part",
    [
        *(chunk(kind, bytes(4), crc=7) for kind in (b"gAMA", b"tEXt", b"pHYs", b"eXIf", b"abCd")),
        *(chunk(kind, bytes(32), crc=7) for kind in (b"cHRM", b"iCCP", b"tRNS", b"acTL")),
        *(chunk(kind, b"\0") for kind in (b"pHYs", b"gAMA", b"cHRM", b"tIME", b"bKGD", b"hIST")),
        *(chunk(kind, b"") for kind in (b"sRGB", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"iCCP")),
        *(chunk(kind, b"") for kind in (b"tEXt", b"zTXt", b"iTXt", b"cICP", b"sBIT", b"sPLT")),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(10_000_000))),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000))) * 80,
        chunk(b"tEXt", b"a\0" + b"x" * 3_000_000),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x" * 100)),
        chunk(b"PLTE", b"abc", crc=7),
    ],
    ids=lambda part: part[4:8].decode() + str(len(part)),
)
def test_what_a_pngs_pixels_do_not_need_cannot_spoil_it(part):
    assert (open_image(png(part, WHITE, IEND)) == 255).all()
    assert (open_image(png(WHITE, part, IEND)) == 255).all()


@pytest.mark.parametrize(
    "end", [b"", b"junk", IEND + b"junk", chunk(b"IEND", b"", crc=7), IEND[:5], b"\0\0"]
)
def test_a_png_may_end_as_it_likes(end):
    assert (open_image(png(WHITE + end)) == 255).all()


def test_a_profile_of_megabytes_is_used_or_left_out_with_a_note():
    profile = rgb_profile(DISPLAY_P3, 2.2)
    padded = profile + bytes(2_000_000)
    red = chunk(b"IDAT", zlib.compress((b"\0" + b"\xc8\x3c\x1e" * 8) * 8))

    def shown(profile):
        return open_photo(png(chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)), red, IEND))

    np.testing.assert_array_equal(shown(padded).image, shown(profile).image)
    assert shown(profile).image[0, 0, 0] > 215  # 200 of Display P3
    large = shown(profile + bytes(5_000_000))
    assert large.image[0, 0].tolist() == [200, 60, 30]
    assert large.notes == ("its colour profile has more than 4 MB and was ignored",)


def test_pixels_with_a_wrong_checksum_are_damage():
    for name in (b"IDAT", b"PLTE"):
        part = chunk(name, bytes(3), crc=7)
        with pytest.raises(ImageError, match=f"its {name.decode()} chunk has a wrong checksum"):
            open_photo(png(part, IDAT, IEND, kind=(8, 3)))


def test_apples_own_png_is_named():
    data = png(WHITE, IEND)
    data = data[:8] + chunk(b"CgBI", bytes(4)) + data[8:]
    with pytest.raises(ImageError, match=r"Apple's own kind \(CgBI\)"):
        open_photo(data)


def wide(values, key, kind=2, interlace=0):
    """A 16-bit PNG of one row."""
    samples = struct.pack(f">{len(values)}H", *values)
    width = len(values) // (3 if kind == 2 else 1)
    header = struct.pack(">IIBBBBB", width, 1, 16, kind, 0, 0, interlace)
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(b"\0" + samples))])


def test_only_all_16_bits_of_the_key_colour_are_transparent():
    near = [0x1234, 0x5678, 0x9ABC, 0x1235, 0x5678, 0x9ABC, 0x1234, 0x5678, 0x9ABD]
    shown = open_image(wide(near, near[:3]) + IEND)[0].tolist()
    assert shown == [[255, 255, 255], [0x12, 0x56, 0x9A], [0x12, 0x56, 0x9A]]
    gray = open_image(wide([0x1234, 0x1235], [0x1234], kind=0) + IEND)[0, :, 0].tolist()
    assert gray == [255, 0x12]


def test_codes_of_hdr_are_followed():
    gray = chunk(b"IDAT", zlib.compress((b"\0" + bytes([148] * 24)) * 8))  # 58 % of PQ
    photo = open_photo(png(chunk(b"cICP", bytes([9, 16, 0, 1])), gray, IEND))
    assert photo.notes == ("HDR (PQ), shown as SDR",)
    assert np.abs(photo.image.astype(int) - 251).max() <= 2  # white at 203 cd/m2, pressed a little
    plain = open_photo(png(chunk(b"cICP", bytes([1, 13, 0, 1])), gray, IEND))
    assert (plain.image == 148).all()
    assert plain.notes == ()


def test_label_files_with_odd_chunks_are_read_too():
    palette = chunk(b"PLTE", bytes(range(9)))
    body = chunk(b"IDAT", zlib.compress((b"\0" + bytes([0, 1, 2, 0, 1, 2, 0, 1])) * 8))
    data = png(chunk(b"tEXt", b"x", crc=1), palette, body, IEND, kind=(8, 3))
    assert open_png_values(data, "P")[0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


# GIF


def gif(left, top, width, height, index=1, screen=(6, 5), interlaced=False):
    """A first picture of one colour on a larger canvas; the background is red, the picture blue."""
    palette = bytes([255, 0, 0, 0, 0, 255])
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + palette
    frame = b"," + struct.pack("<HHHHB", left, top, width, height, 0x40 * interlaced)
    # a code of 3 bits each: pixels, and after each one a code that keeps it at 3 bits
    codes = [4] + [code for _ in range(width * height) for code in (index, 4)] + [5]
    bits = "".join(f"{code:03b}"[::-1] for code in codes)
    packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    blocks = b"".join(
        bytes([len(packed[at : at + 255])]) + packed[at : at + 255]
        for at in range(0, len(packed), 255)
    )
    return head + frame + b"\2" + blocks + b"\0;"


@pytest.mark.parametrize("place", [(0, 0, 6, 5), (2, 1, 3, 2), (0, 0, 1, 1), (5, 4, 1, 1)])
def test_what_a_gifs_first_picture_leaves_out_is_transparent(place):
    left, top, width, height = place
    want = np.full((5, 6, 3), 255)
    want[top : top + height, left : left + width] = [0, 0, 255]
    data = gif(*place)
    np.testing.assert_array_equal(open_image(data), want)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(open_image(image), want)
