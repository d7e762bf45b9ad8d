"""Every pixel mode, orientation, alpha and colour profile, compared with the numbers meant."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers.pictures.profiles import DISPLAY_P3, SRGB, cmyk_profile, gray_profile, rgb_profile
from segmentation.images.photo import open_image, open_photo

# 32 x 24 pixels, red 8x, green 10y, blue 255 - 4x - 3y: `cjpeg -arithmetic -quality 95 -sample 1x1`
ARITHMETIC_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBw"
    "YGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK"
    "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/yQARCAAYACADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAx"
    "EAPwD/AO2FuEHINkqlXOTgkO4qA/k4UJhGGdA1iFdFfcQmFDsZDiB8RsFwN1orKvS912lWrsoSYFsz4Ly6b/GXx50y"
    "alXNeXX6B5uv3ePfPhhe6ACpjYp9wy5pHxJPklnFLIJ8AKaLvqYbFqEzZD7gzGpITYK7BiJbDk4Pisd7q+mxxD8PE7"
    "lHvhikmJ6fA5wII4LnpfpPjN6xmuQv6fk/Dnb1xxWuIhr92IZn7cNlFId8u9Jo/9k="
)


def encode(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def gradient(height=24, width=32):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 8, y * 10, 255 - x * 4 - y * 3], -1).astype(np.uint8)


def gray_png(rows, depth, transparency=None):
    """A gray PNG of any depth, from rows of packed bytes; Pillow itself writes only some."""
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    width = len(rows[0]) * 8 // depth
    png = b"\x89PNG\r\n\x1a\n"
    png += chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, 0, 0, 0, 0))
    if transparency is not None:
        png += chunk(b"tRNS", struct.pack(">H", transparency))
    png += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return png + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_stands_upright(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(gradient()), form, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)).convert("RGB"))
    if form == "TIFF":  # Pillow turns these at loading
        expected = Image.open(io.BytesIO(data))
        expected.load()
    result = open_image(data)
    assert result.shape == ((32, 24, 3) if orientation >= 5 else (24, 32, 3))
    np.testing.assert_array_equal(result, np.asarray(expected))


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [*enumerate([(0, 0), (0, -1), (-1, -1), (-1, 0)] * 2, start=1)],
)
def test_orientation_moves_the_first_stored_pixel_where_exif_says(orientation, corner):
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = open_image(encode(Image.fromarray(pixels), "PNG", exif=exif))
    assert result[corner].tolist() == [255, 255, 255]
    assert result.sum() == 3 * 255


def test_an_orientation_set_on_a_pil_image_counts():
    image = Image.fromarray(gradient())
    image.getexif()[0x0112] = 6
    np.testing.assert_array_equal(open_image(image), np.rot90(gradient(), -1))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value):
    exif = Image.Exif()
    exif[0x0112] = value
    data = encode(Image.fromarray(gradient()), "PNG", exif=exif)
    np.testing.assert_array_equal(open_image(data), gradient())


def test_rows_of_tall_and_wide_pictures_stay_in_order(rng, monkeypatch):
    pixels = rng.integers(0, 256, (50, 37, 3), dtype=np.uint8)
    monkeypatch.setattr("segmentation.images.color._STRIP_PIXELS", 100)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(pixels)
        image.info["exif"] = exif.tobytes()
        expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(open_image(image), expected)


def test_cmyk_without_a_profile_is_ink_over_paper():
    cmyk = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 128]]], np.uint8)
    image = Image.fromarray(cmyk.repeat(16, 0).repeat(16, 1), "CMYK")
    expected = [[255, 255, 255], [0, 255, 255], [255, 0, 0], [127, 127, 127]]
    for data in (encode(image, "TIFF"), encode(image, "JPEG", quality=100)):
        result = open_image(data)[8, 8::16].astype(int)
        assert np.abs(result - expected).max() <= 3, data[:2]


def test_cmyk_with_a_profile_takes_the_colours_from_it():
    cmyk = np.zeros((16, 32, 4), np.uint8)
    cmyk[:, 16:, 0] = 255  # cyan ink, which this press prints red: L 53, a 80, b 67
    image = Image.fromarray(cmyk, "CMYK")
    for form in ("TIFF", "JPEG"):
        result = open_image(encode(image, form, icc_profile=cmyk_profile())).astype(int)
        assert np.abs(result[8, 4] - 255).max() <= 3
        assert np.abs(result[8, 28] - (255, 0, 0)).max() <= 20
        assert result[8, 28, 0] > 240


def test_a_display_p3_profile_is_converted_to_srgb():
    pixels = gradient()
    data = encode(Image.fromarray(pixels), "PNG", icc_profile=rgb_profile(DISPLAY_P3, 2.2))
    linear = (pixels / 255.0) ** 2.2 @ np.array(DISPLAY_P3) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    result = open_photo(data)
    difference = np.abs(result.image - 255 * encoded)
    assert np.quantile(difference, 0.99) <= 2
    assert difference.max() <= 6  # 8-bit rounding near black and at the edge of the gamut
    assert np.abs(result.image.astype(int) - pixels).max() > 15
    assert result.notes == ()


def test_a_gray_profile_is_converted_too():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    data = encode(Image.fromarray(ramp), "PNG", icc_profile=gray_profile(1.75))
    linear = (ramp / 255.0) ** 1.75
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(open_image(data)[..., 1] - 255 * encoded)[:, 4:].max() <= 2


def test_an_srgb_profile_leaves_every_value_alone():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(Image.fromarray(gradient()), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(open_image(data), gradient())


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (b"not a profile", "its colour profile is broken and was ignored"),
        (rgb_profile()[:200], "its colour profile is broken and was ignored"),
        (
            gray_profile(),
            "its colour profile is for another kind of picture and was ignored",
        ),
    ],
)
def test_a_useless_profile_is_ignored_with_a_note(profile, note):
    photo = open_photo(encode(Image.fromarray(gradient()), "PNG", icc_profile=profile))
    np.testing.assert_array_equal(photo.image, gradient())
    assert photo.notes == (note,)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_alpha_is_composited_over_white(mode, rng):
    color = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (9, 11), dtype=np.uint8)
    alpha[0], alpha[1] = 0, 255
    image = Image.fromarray(np.dstack([color, alpha]))
    if mode in ("LA", "La"):
        image = image.convert("LA")
    image = image.convert(mode)
    straight = np.asarray(image.convert("LA") if mode == "La" else image.convert("RGBA"))
    if straight.shape[2] == 2:
        straight = straight[..., [0, 0, 0, 1]]
    share = straight[..., 3:] / 255.0
    expected = np.rint(share * straight[..., :3] + (1 - share) * 255)
    result = open_image(image)
    np.testing.assert_array_equal(result, expected)
    assert (result[0] == 255).all()


def test_a_palette_with_transparency_is_composited_over_white():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for transparency, expected in [
        (1, [[255, 0, 0], [255, 255, 255], [0, 0, 255]]),
        (bytes([255, 128, 0]), [[255, 0, 0], [127, 255, 127], [255, 255, 255]]),
    ]:
        data = encode(image, "PNG", transparency=transparency)
        assert open_image(data)[0].tolist() == expected
    assert open_image(encode(image, "GIF", transparency=2))[0, 2].tolist() == [255, 255, 255]


def test_a_key_colour_is_transparent_in_gray_and_rgb():
    rgb = Image.fromarray(np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8))
    data = encode(rgb, "PNG", transparency=(1, 2, 3))
    assert open_image(data).tolist() == [[[255] * 3, [1, 2, 4]]]
    gray = Image.fromarray(np.array([[7, 8]], np.uint8))
    assert open_image(encode(gray, "PNG", transparency=7))[0, :, 0].tolist() == [255, 8]


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [
        (1, b"\xa0", [255, 0, 255, 0, 0, 0, 0, 0]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x0f", [0, 255]),
        (16, b"\x80\x80\x00\xff", [128, 1]),
    ],
)
def test_gray_of_every_depth_is_scaled(depth, row, expected):
    assert open_image(gray_png([row], depth))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [
        (1, b"\xa0", 0, [255] * 8),
        (2, b"\x1b", 1, [0, 255, 170, 255]),
        (4, b"\x0f", 0, [255, 255]),
        (16, b"\x80\x80\x00\xff", 0x00FF, [128, 255]),
    ],
)
def test_a_key_colour_of_every_gray_depth_is_transparent(depth, row, key, expected):
    assert open_image(gray_png([row], depth, key))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bits_are_scaled_and_not_saturated(dtype):
    values = np.arange(65536).reshape(256, 256)
    data = encode(Image.fromarray(values.astype(dtype)), "TIFF")
    result = open_image(data)
    np.testing.assert_array_equal(result[..., 0], np.rint(values / 257))
    assert (result == result[..., :1]).all()


def test_32_bit_integers_and_floats_find_their_range():
    def read(values, dtype):
        photo = open_photo(encode(Image.fromarray(np.array([values], dtype)), "TIFF"))
        return photo.image[0, :, 0].tolist(), photo.notes

    assert read([0, 128, 255], np.int32) == ([0, 128, 255], ())
    assert read([0, 32896, 65535], np.int32) == ([0, 128, 255], ())
    note = ("values -100 to 100000 stretched to 0 to 255",)
    assert read([-100, 49950, 100000], np.int32) == ([0, 128, 255], note)
    assert read([0, 0.5, 1], np.float32) == ([0, 128, 255], ())
    assert read([0, 99.6, 255], np.float32) == ([0, 100, 255], ())
    note = ("values -2 to 2 stretched to 0 to 255",)
    assert read([-2, 0, 2, np.nan, np.inf], np.float32) == ([0, 128, 255, 0, 255], note)
    assert read([np.nan], np.float32) == ([0], ())
    assert read([-5.0, -5.0], np.float32)[0] == [0, 0]


def test_a_pillow_image_of_numbers_finds_its_range_as_a_file_does():
    for values, expected, notes in (
        (np.array([[0, 2, 4]], "f4"), [0, 128, 255], ("values 0 to 4 stretched to 0 to 255",)),
        (np.array([[0, 0.5, 1]], "f4"), [0, 128, 255], ()),
        (
            np.array([[0, 500, 1000]], "i4"),
            [0, 128, 255],
            ("values 0 to 1000 stretched to 0 to 255",),
        ),
        (np.array([[0, 30000, 65535]], "i4"), [0, 117, 255], ()),
    ):
        photo = open_photo(Image.fromarray(values))
        assert (photo.image[0, :, 0].tolist(), photo.notes) == (expected, notes)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "HSV", "YCbCr", "CMYK"])
def test_other_modes_look_as_pillow_shows_them(mode):
    image = Image.fromarray(gradient()).convert(mode)
    np.testing.assert_array_equal(open_image(image), np.asarray(image.convert("RGB")))


def test_lab_is_converted():
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    pixels = np.zeros((4, 4, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    lab = ImageCms.applyTransform(Image.fromarray(pixels), to_lab)
    for source in (lab, encode(lab, "TIFF")):
        assert np.abs(open_image(source).astype(int) - pixels).max() <= 4


def test_an_arithmetic_jpeg_is_read():
    assert b"\xff\xc9" in ARITHMETIC_JPEG  # the frame marker of sequential arithmetic coding
    assert np.abs(open_image(ARITHMETIC_JPEG).astype(int) - gradient()).max() <= 4


def test_a_progressive_jpeg_equals_its_baseline_twin():
    image = Image.fromarray(gradient())
    baseline, progressive = (
        encode(image, "JPEG", quality=90, progressive=flag) for flag in (False, True)
    )
    assert b"\xff\xc2" in progressive
    np.testing.assert_array_equal(open_image(progressive), open_image(baseline))
