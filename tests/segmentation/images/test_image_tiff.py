"""TIFFs of every layout, written by hand: the right numbers, or a refusal that names what it is."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from helpers.image_files import directory, tiff
from segmentation.errors import ImageError
from segmentation.images.photo import open_photo

Y, X = np.mgrid[:21, :35]
LIGHT = np.stack([X / 34, Y / 20, 1 - (X + Y) / 54], -1)  # (21, 35, 3) in 0 to 1
LAYOUTS = [{}, {"rows": 5}, {"rows": 1}, {"tile": (16, 16)}, {"tile": (32, 48)}]
WAYS = [{}, {"planar": True}, {"compression": 8}, {"compression": 32773}]
WAYS += [{"compression": 8, "predictor": 2}, {"compression": 8, "predictor": 2, "planar": True}]


def numbers(dtype, light=LIGHT):
    """Light as the full range of a type."""
    most = 1 if np.dtype(dtype).kind == "f" else float(np.iinfo(dtype).max)
    return light.astype(dtype) if most == 1 else np.rint(light * most * (1 - 1e-12)).astype(dtype)


def shown(data):
    return open_photo(data).image.astype(int)


def check(data, light=LIGHT, tolerance=1):
    light = light if light.ndim == 3 else light[..., None].repeat(3, -1)
    assert np.abs(shown(data) - 255 * light).max() <= tolerance


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_every_layout_of_rgb_is_read(dtype, big, order):
    for layout in LAYOUTS:
        for way in WAYS:
            if dtype == "f4" and "predictor" in way:
                way = way | {"predictor": 3}
            check(tiff(numbers(dtype), order=order, big=big, **layout, **way))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_every_depth_of_gray_is_read(dtype, order):
    gray = numbers(dtype)[..., 0]
    check(tiff(gray, order=order), LIGHT[..., 0])
    check(tiff(gray, order=order, compression=8, rows=4), LIGHT[..., 0])


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_white_may_be_zero(dtype, order):
    check(tiff(numbers(dtype)[..., 0], photometric=0, order=order), 1 - LIGHT[..., 0])


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
def test_packed_bits_are_unpacked(bits):
    most = 2**bits - 1
    values = np.rint(LIGHT * most).astype(np.uint16)
    for layout in LAYOUTS[:4]:
        check(tiff(values, bits=bits, compression=8, **layout), values / most)
        check(tiff(values[..., 0], bits=bits, photometric=0, **layout), 1 - values[..., 0] / most)


@pytest.mark.parametrize("method", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_libtiffs_own_compressions_are_unpacked(method):
    for mode, want in (("RGB", numbers("u1")), ("L", numbers("u1")[..., 0])):
        file = io.BytesIO()
        Image.fromarray(want, mode).save(file, "TIFF", compression=method)
        np.testing.assert_array_equal(
            shown(file.getvalue())[..., 0], want.reshape(21, 35, -1)[..., 0]
        )


@pytest.mark.parametrize("method", ["group3", "group4"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_faxes_are_read(method, photometric):
    ones = (X + Y) % 3 == 0
    file = io.BytesIO()
    info = {262: photometric}
    Image.fromarray(ones).save(file, "TIFF", compression=method, tiffinfo=info)
    np.testing.assert_array_equal(shown(file.getvalue())[..., 1], 255 * ones)


def test_bits_in_reversed_order_are_turned():
    ones = ((X * Y) % 3 == 0).astype(np.uint8)
    data = tiff(ones, bits=1, t266=[2])
    at = len(data) - 21 * 5
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data[at:])
    np.testing.assert_array_equal(shown(data[:at] + turned)[..., 0], 255 * ones)


# What the numbers mean


def test_the_greatest_value_may_be_told():
    values = np.rint(LIGHT * 4095).astype(np.uint16)
    photo = open_photo(tiff(values, t281=[4095] * 3))
    assert np.abs(photo.image - 255 * LIGHT).max() <= 1
    assert photo.notes == ()


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        (np.array([[0, 1500, 3000]], "u2"), [0, 128, 255], "values 0 to 3000 stretched"),
        (np.array([[0, 5000, 10000]], "u2"), [0, 128, 255], "values 0 to 10000 stretched"),
        (np.array([[0, 32768, 65535]], "u2"), [0, 128, 255], None),
        (np.array([[0, 16384, 20000]], "u2"), [0, 64, 78], None),
        (np.array([[0, 2**31, 2**32 - 1]], "u4"), [0, 128, 255], None),
        (np.array([[0, 3_000_000_000, 7]], "u4"), [0, 178, 0], None),
        (np.array([[0, 32768, 65535]], "u4"), [0, 128, 255], None),
        (np.array([[0, 100, 255]], "u4"), [0, 100, 255], None),
        (np.array([[-200, 300, 800]], "i2"), [0, 128, 255], "values -200 to 800 stretched"),
        (np.array([[-128, 0, 127]], "i1"), [0, 128, 255], "values -128 to 127 stretched"),
        (np.array([[0, 2, 4]], "f4"), [0, 128, 255], "values 0 to 4 stretched"),
        (np.array([[0, 0.5, 1]], "f4"), [0, 128, 255], None),
        (np.array([[-0.5, 0.5, 1.5]], "f8"), [0, 128, 255], "values -0.5 to 1.5 stretched"),
        (np.array([[0, np.nan, 1]], "f4"), [0, 0, 255], None),
        (np.array([[0, 99.6, 255]], "f4"), [0, 100, 255], None),
    ],
)
def test_values_without_a_fixed_range_find_theirs(values, expected, note):
    photo = open_photo(tiff(values))
    assert photo.image[0, :, 0].tolist() == expected
    assert photo.notes == ((f"{note} to 0 to 255",) if note else ())


def test_what_stands_for_no_measurement_does_not_count():
    values = np.array([[-9999, 0.25, 1.0]], "f4")
    photo = open_photo(tiff(values, t42113=b"-9999\0"))
    assert photo.image[0, :, 0].tolist() == [0, 64, 255]
    full = np.array([[65535, 0, 3000]], "u2")
    assert open_photo(tiff(full, t42113=b"65535\0")).image[0, :, 0].tolist() == [255, 0, 255]


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("planar", [False, True])
def test_alpha_is_what_is_declared_as_alpha(dtype, planar):
    alpha = np.rint((X % 5) / 4 * 255) / 255
    straight = np.dstack([LIGHT, alpha])
    want = LIGHT * alpha[..., None] + 1 - alpha[..., None]
    check(tiff(numbers(dtype, straight), t338=[2], planar=planar), want, 2)
    premultiplied = np.dstack([LIGHT * alpha[..., None], alpha])
    check(tiff(numbers(dtype, premultiplied), t338=[1], planar=planar), want, 3)
    gray = np.dstack([LIGHT[..., 0], alpha])
    check(tiff(numbers(dtype, gray), t338=[2], planar=planar, photometric=1), want[..., 0], 2)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(
    ("samples", "photometric", "extras"),
    [(4, 2, [0]), (4, 2, None), (5, 2, [0, 0]), (3, 1, [0, 0]), (4, 1, [0, 0, 0]), (3, 1, None)],
)
@pytest.mark.parametrize("planar", [False, True])
def test_bands_that_are_no_alpha_are_left_out_with_a_note(
    dtype, samples, photometric, extras, planar
):
    bands = np.dstack([LIGHT, X % 2, Y % 2])[..., :samples]
    data = tiff(numbers(dtype, bands), photometric=photometric, t338=extras, planar=planar)
    check(data)
    note = f"{samples} bands: the first three are shown as red, green, blue"
    assert open_photo(data).notes == (note,)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("factor", [257, 1])
def test_palettes_of_16_and_of_8_bits_are_told_apart(bits, factor):
    colors = np.random.default_rng(1).integers(0, 256, (2**bits, 3))
    colors[0] = 255
    indices = ((X * 7 + Y) % 2**bits).astype(np.uint8)
    table = (colors.T.reshape(-1) * factor).tolist()
    data = tiff(indices, bits=bits, photometric=3, t320=table)
    np.testing.assert_array_equal(shown(data), colors[indices])


def test_cmyk_is_read_in_8_and_16_bits():
    inks = np.zeros((4, 4, 4))
    inks[:, 1, 0] = inks[:, 2, 1] = inks[:, 2, 2] = 1
    for dtype in ("u1", "u2"):
        for planar in (False, True):
            row = shown(tiff(numbers(dtype, inks), photometric=5, planar=planar))[0]
            assert row.tolist() == [[255, 255, 255], [0, 255, 255], [255, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_stands_upright(orientation):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(numbers("u1")).save(file, "TIFF", exif=exif)
    want = Image.open(io.BytesIO(file.getvalue()))
    want.load()  # Pillow turns it
    np.testing.assert_array_equal(shown(file.getvalue()), np.asarray(want))
    deep = tiff(numbers("u2"), compression=8, tile=(16, 16), t274=[orientation])
    assert np.abs(shown(deep) - np.asarray(want).astype(int)).max() <= 1


def test_pages_are_told_and_smaller_copies_are_not():
    page = tiff(numbers("u1"))
    second = {254: [0], 256: [1], 257: [1]}
    for kind, notes in ((0, ("several pages: the first is shown",)), (1, ()), (4, ())):
        other = directory(second | {254: [kind]}, [b"x"])[8:]
        data = tiff(numbers("u1"), next_at=len(page)) + other
        assert open_photo(data).notes == notes


# What is refused, and with which words

SMALL = np.zeros((8, 16), "u1")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(SMALL, compression=50001), "WebP compression"),
        (tiff(SMALL, compression=34712), "JPEG 2000 compression"),
        (tiff(SMALL, compression=50002), "JPEG XL compression"),
        (tiff(SMALL, compression=6), "old-style JPEG compression"),
        (tiff(SMALL, compression=34887), "LERC compression"),
        (tiff(SMALL, compression=12345), "number 12345 compression"),
        (tiff(np.zeros((8, 8, 8), "u1"), photometric=1), "8 bands"),
        (tiff(np.zeros((8, 8, 2), "u1"), photometric=1), "2 bands"),
        (tiff(np.zeros((8, 8, 200), "u1"), photometric=1), "200 bands"),
        (tiff(np.zeros((8, 8, 2), "u1"), photometric=2), "2 bands"),
        (tiff(np.zeros((8, 8, 3), "u1"), photometric=6), "YCbCr"),
        (tiff(np.zeros((8, 8, 3), "u1"), photometric=9), r"ICC L\*a\*b\*"),
        (tiff(np.zeros((8, 8, 3), "u2"), photometric=8), r"16-bit L\*a\*b\*"),
        (tiff(np.zeros((8, 8, 5), "u1"), photometric=5, t338=[2]), "CMYK with 1 extra"),
        (tiff(np.zeros((8, 8, 4), "u1"), photometric=5, t332=[2]), "inks other than CMYK"),
        (tiff(np.zeros((8, 8, 3), "u1"), t258=[5, 6, 5]), r"different depths \(\(5, 6, 5\)"),
        (tiff(SMALL, t339=[6]), "complex 8-bit"),
        (tiff(np.zeros((8, 8), "u4"), t258=[24]), "24-bit samples"),
        (tiff(SMALL, photometric=4), "transparency mask"),
        (tiff(SMALL, t262=None), "no photometric field"),
        (tiff(SMALL, photometric=32844), "LogL"),
        (tiff(SMALL, t266=[2]), "fill order 2"),
        (tiff(SMALL, compression=8, t317=[7]), "predictor 7"),
        (tiff(SMALL, compression=7, t258=[12]), "12-bit samples"),
        (tiff(SMALL, t32997=[5]), "volume"),
    ],
)
def test_what_is_not_read_is_named(data, words):
    with pytest.raises(ImageError, match=f"is a TIFF .*{words}.*Save it as an 8-bit RGB TIFF"):
        open_photo(data)


@pytest.mark.parametrize(
    ("fields", "second", "words"),
    [
        ({"t50706": b"\1\4\0\0"}, None, r"camera RAW file \(DNG\)"),
        ({"t271": b"NIKON CORPORATION\0"}, {262: [32803]}, r"camera RAW file \(Nikon NEF\)"),
        ({"t271": b"SONY\0"}, {259: [32767]}, r"camera RAW file \(Sony ARW\)"),
        ({"t271": b"Phase One\0"}, {262: [34892]}, r"camera RAW file \(TIFF\)"),
        ({"t254": [1]}, {}, "first picture is a thumbnail"),
    ],
)
@pytest.mark.parametrize("place", ["sub-directory", "next directory"])
def test_a_raw_file_is_not_taken_for_its_thumbnail(fields, second, words, place):
    page = tiff(SMALL, t330=[0], **fields)
    other = {254: [0], 256: [64], 257: [64], 262: [1]} | (second or {})
    where = {"t330": [len(page)]} if place == "sub-directory" else {"next_at": len(page)}
    if place == "next directory":
        where["t330"] = [0]
    data = tiff(SMALL, **fields, **where) + directory(other, [b"x"])[8:]
    with pytest.raises(ImageError, match=words):
        open_photo(data)


@pytest.mark.parametrize("way", [*WAYS, {"tile": (16, 16)}, {"compression": 8, "tile": (16, 16)}])
def test_a_file_cut_anywhere_is_refused(way):
    data = tiff(numbers("u2"), **way)
    for cut in range(1, 400, 7):
        with pytest.raises(ImageError, match=r"cut short|damaged"):
            open_photo(data[:-cut])


def test_claims_of_much_are_refused_before_they_cost():
    for field in ({"t257": [60_000], "t256": [60_000]}, {"t322": [1 << 20], "t323": [1 << 20]}):
        with pytest.raises(ImageError, match=r"megapixels|cut short"):
            open_photo(tiff(SMALL, tile=(16, 16), **field))
    with pytest.raises(ImageError, match="cut short"):
        open_photo(tiff(SMALL, t257=[7000], t256=[7000], t278=[7000]))
    left_out = tiff(SMALL, rows=4)
    at = left_out.index(struct.pack("<HHI", 273, 4, 2))
    place = struct.unpack_from("<I", left_out, at + 8)[0]
    gone = left_out[:place] + bytes(4) + left_out[place + 4 :]
    with pytest.raises(ImageError, match="left out"):
        open_photo(gone)
