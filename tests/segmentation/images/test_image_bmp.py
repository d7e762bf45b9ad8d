"""BMP files of every kind, written by hand: the right pixels, or a refusal that names the kind."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from helpers.pictures.profiles import DISPLAY_P3, rgb_profile
from segmentation.errors import ImageError
from segmentation.images.photo import open_image, open_photo

HEIGHT, WIDTH = 5, 7
SIZES = (12, 16, 40, 52, 56, 64, 108, 124)


def bmp(
    bits, body, *, header=40, compression=0, palette=b"", masks=(), colors=0, height=HEIGHT,
    width=WIDTH, gap=0, tail=b"", offset=None,
):  # fmt: skip
    """A BMP: its header, palette and rows as they are."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack(
            *("<IiiHHIIiiII", header, width, height, 1, bits, compression, 0, 0, 0, colors, 0)
        )
        info += struct.pack("<4I", *(*masks, 0, 0, 0, 0)[:4])
        info = info[:header].ljust(header, b"\0")
        if header == 40 and compression in (3, 6):
            info += struct.pack(f"<{len(masks)}I", *masks)
    at = 14 + len(info) + len(palette) + gap
    start = b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at if offset is None else offset)
    return start + info + palette + bytes(gap) + body + tail


def rows(values):
    """Rows of numbers as bytes, each of a multiple of four."""
    stride = -(-values[0].nbytes // 4) * 4
    return b"".join(row.tobytes().ljust(stride, b"\0") for row in values)


def packed(indices, bits):
    ones = indices[..., None] >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(ones.reshape(len(indices), -1).astype(np.uint8), axis=-1)


def palette_of(colors, entry=4):
    return b"".join(bytes(color[::-1]).ljust(entry, b"\0") for color in colors)


@pytest.mark.parametrize("header", SIZES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("top_down", [False, True])
def test_indices_under_every_header(bits, header, top_down, rng):
    colors = rng.integers(0, 256, (2**bits, 3), dtype=np.uint8)
    indices = rng.integers(0, 2**bits, (HEIGHT, WIDTH))
    if top_down and header == 12:
        pytest.skip("its height has no sign")
    body = rows(packed(indices if top_down else indices[::-1], bits))
    palette = palette_of(colors, 3 if header == 12 else 4)
    height = -HEIGHT if top_down else HEIGHT
    data = bmp(bits, body, header=header, palette=palette, height=height, gap=6)
    np.testing.assert_array_equal(open_image(data), colors[indices])


def test_palettes_may_be_too_long_too_short_or_before_no_offset():
    colors = np.arange(48, dtype=np.uint8).reshape(16, 3)
    body = rows(packed(np.tile(np.arange(WIDTH), (HEIGHT, 1)), 4))
    want = [colors[:WIDTH].tolist()] * HEIGHT
    assert open_image(bmp(4, body, palette=palette_of(colors), colors=300)).tolist() == want
    assert open_image(bmp(4, body, palette=palette_of(colors), offset=0)).tolist() == want
    short = open_image(bmp(4, body, palette=palette_of(colors[:3]), colors=3))
    assert short[0].tolist() == [*colors[:3].tolist(), *[[0, 0, 0]] * 4]


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0xF800, 0x07E0, 0x001F)),
        (16, (0x7C00, 0x03E0, 0x001F)),
        (16, (0x0F00, 0x00F0, 0x000F)),
        (16, (0x00E0, 0x001C, 0x0003)),
        (16, (0x7000, 0x0800, 0x0000)),
        (32, (0x000000FF, 0x0000FF00, 0x00FF0000)),
        (32, (0xFF000000, 0x003FC000, 0x00000FF0)),
        (32, (0x3FF00000, 0x000FFC00, 0x000003FF)),
        (32, (0xFFE00000, 0x001FFC00, 0x000003FF)),
        (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
        (16, (0x7C00, 0x03E0, 0x001F, 0x8000)),
        (32, (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)),
        (32, (0x3FE00000, 0x001FF000, 0x0000007F, 0xC0000000)),
    ],
)
def test_bit_masks_of_any_width_and_place(bits, masks, header, rng):
    if len(masks) == 4 and header == 52:
        pytest.skip("it has no room for a fourth")
    shares = rng.random((HEIGHT, WIDTH, len(masks)))
    shares[0, 0] = 1
    values, want = np.zeros((HEIGHT, WIDTH), np.int64), np.zeros((HEIGHT, WIDTH, len(masks)))
    for band, mask in enumerate(masks):
        low = mask & -mask
        steps = np.rint(shares[..., band] * (mask // low)).astype(np.int64) if mask else 0
        values |= steps * low
        want[..., band] = steps / (mask // low) if mask else 0
    alpha = want[..., 3:] if len(masks) == 4 else 1
    want = 255 * (want[..., :3] * alpha + 1 - alpha)
    compression = 6 if header == 40 and len(masks) == 4 else 3
    body = rows(values[::-1].astype(f"<u{bits // 8}"))
    data = bmp(bits, body, header=header, compression=compression, masks=masks)
    assert np.abs(open_image(data) - want).max() <= 1


def test_without_masks_16_bits_are_5_5_5_and_the_fourth_of_4_bytes_is_nothing():
    body = rows(np.array([[0x7C00, 0x03E0, 0x001F, 0xFFFF]], "<u2"))
    row = open_image(bmp(16, body, width=4, height=1))[0].tolist()
    assert row == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    body = rows(np.array([[0x00FF8000, 0x80FF8000]], "<u4"))
    assert open_image(bmp(32, body, width=2, height=1))[0].tolist() == [[255, 128, 0]] * 2


def test_alpha_that_is_0_everywhere_was_not_meant():
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    values = np.array([[0x00FF8000, 0x00102030]], "<u4")
    options = {"header": 124, "compression": 3, "masks": masks, "width": 2, "height": 1}
    assert open_image(bmp(32, rows(values), **options))[0].tolist() == [[255, 128, 0], [16, 32, 48]]
    values[0, 1] |= 0xFF000000
    shown = open_image(bmp(32, rows(values), **options))[0].tolist()
    assert shown == [[255, 255, 255], [16, 32, 48]]


# Run lengths

GRAYS = palette_of(np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1))


def runs(body, nibbles=False, **options):
    kind = {"compression": 2, "palette": GRAYS[:64]} if nibbles else {"compression": 1}
    options = {"palette": GRAYS, "width": 6, "height": 2} | kind | options
    return bmp(4 if nibbles else 8, bytes(body), **options)


@pytest.mark.parametrize(
    ("nibbles", "body", "rows_up"),
    [
        (False, [6, 9, 0, 0, 2, 5, 4, 7, 0, 1], [[9] * 6, [5, 5, 7, 7, 7, 7]]),
        # three as they are, and a byte that makes them even
        (False, [0, 3, 1, 2, 3, 0, 3, 4, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 0, 1],
         [[1, 2, 3, 4, 4, 4], [1, 2, 3, 4, 5, 6]]),
        # five nibbles in three bytes, and one more byte: here Pillow loses its place
        (True, [0, 5, 0x12, 0x34, 0x50, 0, 1, 0x60, 0, 0, 6, 0x78, 0, 1],
         [[1, 2, 3, 4, 5, 6], [7, 8, 7, 8, 7, 8]]),
        (True, [0, 3, 0x12, 0x30, 3, 0x45, 0, 0, 0, 6, 0x12, 0x34, 0x56, 0, 0, 1],
         [[1, 2, 3, 4, 5, 4], [1, 2, 3, 4, 5, 6]]),
        # jumps and early ends leave entry 0
        (False, [1, 9, 0, 2, 3, 0, 1, 8, 0, 0, 0, 2, 5, 0, 1, 7, 0, 1],
         [[9, 0, 0, 0, 8, 0], [0, 0, 0, 0, 0, 7]]),
        (False, [2, 9, 0, 2, 0, 1, 2, 8, 0, 1], [[9, 9, 0, 0, 0, 0], [0, 0, 8, 8, 0, 0]]),
        (False, [2, 9, 0, 0, 1, 8, 0, 1], [[9, 9, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0]]),
        # padding beyond the row, and no mark at the end
        (False, [8, 9, 0, 0, 6, 5], [[9] * 6, [5] * 6]),
    ],
)  # fmt: skip
def test_run_lengths_keep_their_place(nibbles, body, rows_up):
    assert open_image(runs(body, nibbles))[..., 0].tolist() == rows_up[::-1]


@pytest.mark.parametrize("nibbles", [False, True])
def test_run_lengths_cut_anywhere_are_the_whole_picture_or_cut_short(nibbles):
    body = [0, 5, 1, 2, 3, 4, 5, 0, 1, 7, 0, 0, 6, 8, 0, 1]
    if nibbles:
        body = [0, 5, 0x12, 0x34, 0x50, 0, 1, 0x70, 0, 0, 6, 0x88, 0, 1]
    whole = runs(body, nibbles)
    want = open_image(whole)
    for cut in range(1, len(body)):
        if cut <= 2:  # the mark at the end alone
            np.testing.assert_array_equal(open_image(whole[:-cut]), want)
        else:
            with pytest.raises(ImageError, match="cut short"):
                open_image(whole[:-cut])


def test_run_lengths_beyond_the_last_row_are_damage():
    with pytest.raises(ImageError, match="damaged: its run lengths go beyond"):
        open_image(runs([6, 9, 0, 0, 6, 5, 0, 0, 6, 5, 0, 1]))


# The rest


def test_a_profile_in_the_header_counts():
    profile = rgb_profile(DISPLAY_P3, 2.2)
    pixels = np.array([[[200, 60, 30], [30, 200, 60]]], np.uint8)
    data = bytearray(bmp(24, rows(pixels[..., ::-1]), header=124, width=2, height=1))
    data[14 + 56 : 14 + 60] = b"DEBM"
    data[14 + 112 : 14 + 120] = struct.pack("<II", len(data) - 14, len(profile))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=profile)
    shown = open_photo(bytes(data) + profile)
    np.testing.assert_array_equal(shown.image, open_image(file.getvalue()))
    assert np.abs(shown.image.astype(int) - pixels).max() > 10
    assert shown.notes == ()


def test_a_bmp_cut_anywhere_is_refused_but_for_its_last_padding():
    body = rows(np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3))
    whole = bmp(24, body)  # 21 bytes a row, and 3 of padding
    want = open_image(whole)
    for cut in range(1, len(whole) - 30):
        if cut <= 3:
            np.testing.assert_array_equal(open_image(whole[:-cut]), want)
        else:
            with pytest.raises(ImageError, match="cut short"):
                open_image(whole[:-cut])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bmp(0, b"\x89PNG", compression=5), r"PNG inside \(BI_PNG compression\)"),
        (bmp(0, b"\xff\xd8", compression=4), r"JPEG inside \(BI_JPEG compression\)"),
        (bmp(24, b"", header=64, compression=4), "24-bit pixels with compression 4"),  # RLE24
        (bmp(1, b"", header=64, compression=3), "1-bit pixels with compression 3"),  # Huffman
        (bmp(64, bytes(999)), "64-bit pixels"),
        (bmp(3, bytes(999)), "3-bit pixels"),
        (bmp(8, bytes(999), compression=2), "8-bit pixels with compression 2"),
        (bmp(8, bytes(999), compression=11), "8-bit pixels with compression 11"),
        (bmp(8, bytes(999), compression=1, height=-5), "from the top down"),
        (bmp(16, bytes(999), compression=3, masks=(0xF0F0, 0x0F00, 0xF)), "bit mask 0xf0f0"),
        (bmp(16, bytes(999), compression=3, masks=(0xFF00, 0x0FF0, 0xF)), "masks overlap"),
        (bmp(16, bytes(999), compression=3, masks=(0xFF0000, 0xFF00, 0xFF)), "bit mask 0xff0000"),
        (bmp(16, bytes(999), header=64, compression=3), "bit masks and a header of 64 bytes"),
    ],
)
def test_what_is_not_read_is_named(data, words):
    with pytest.raises(ImageError, match=f"is a BMP .*{words}"):
        open_photo(data)
