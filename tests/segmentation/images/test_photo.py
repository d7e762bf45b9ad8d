"""Decoding photos: formats, arrays, limits, memory; errors are in test_photo_errors.py."""

import gc
import io
import os
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.image_files import FORMS, claiming, encode, png_claiming
from segmentation.errors import ImageError
from segmentation.images import photo as photo_module
from segmentation.images.indexed_png import open_png_values
from segmentation.images.photo import Photo, open_image, open_photo


@pytest.fixture
def pixels(rng):
    """(37, 53, 3) uint8: a smooth picture with some noise, so that every format has work."""
    y, x = np.mgrid[:37, :53]
    smooth = np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], -1)
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


# Formats


@pytest.mark.parametrize("form", FORMS)
def test_each_format_is_read_from_bytes_path_and_pil_alike(form, pixels, tmp_path):
    data = encode(Image.fromarray(pixels), form, **FORMS[form])
    path = tmp_path / "picture.wrong"
    path.write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    for source in (data, bytearray(data), path, str(path), Image.open(path)):
        photo = open_photo(source)
        assert photo.notes == ()
        assert photo.image.dtype == np.uint8
        assert photo.image.flags["C_CONTIGUOUS"]
        assert photo.image.flags["WRITEABLE"]
        np.testing.assert_array_equal(photo.image, expected)
    if form in ("PNG", "WEBP", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(expected, pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_smallest_and_the_thinnest_pictures_are_read(form, size):
    data = encode(Image.new("RGB", size, (10, 200, 30)), form)
    result = open_image(data)
    assert result.shape == (size[1], size[0], 3)
    assert np.abs(result.astype(int) - (10, 200, 30)).max() <= 4


@pytest.mark.parametrize(("form", "alpha"), [("GIF", 0), ("WEBP", 0), ("PNG", 0), ("AVIF", 0)])
def test_the_first_frame_of_an_animation_is_shown_and_said(form, alpha):
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    photo = open_photo(data)
    assert photo.notes == ("animated: first of 3 frames shown",)
    assert np.abs(photo.image.astype(int) - (255, 0, 0)).max() <= 3


def test_a_gif_of_very_many_frames_is_not_counted_to_the_end():
    one = encode(Image.new("P", (1, 1)), "GIF")
    frame = one[one.index(b",", 13) : -1]
    photo = open_photo(one[:-1] + frame * 300_000 + b";")
    assert photo.notes == ("animated: first of at least 1,000 frames shown",)


def test_pages_of_a_tiff_are_mentioned():
    pages = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    photo = open_photo(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert photo.notes == ("several pages: the first is shown",)
    assert photo.image[0, 0].tolist() == [255, 0, 0]


def test_a_phone_photo_with_a_second_picture_inside_is_its_first(pixels):
    first, second = Image.fromarray(pixels), Image.new("RGB", (30, 20), "blue")
    data = encode(first, "MPO", save_all=True, append_images=[second])
    photo = open_photo(data)
    assert photo.image.shape == pixels.shape
    assert photo.notes == ()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_film_appended_by_a_phone_is_no_part_of_the_photo(pixels, rng, progressive):
    data = encode(Image.fromarray(pixels), "JPEG", progressive=progressive)
    film = b"\xff\xda" * 100 + rng.bytes(100_000)
    np.testing.assert_array_equal(open_image(data + film), open_image(data))


def test_a_photo_passes_through():
    photo = Photo(np.zeros((2, 2, 3), np.uint8), ("noted",))
    assert open_photo(photo) is photo


# Arrays


def test_an_array_is_copied(pixels):
    for array in (pixels, pixels[::-1, ::2], pixels.copy(order="F")):
        result = open_image(array)
        np.testing.assert_array_equal(result, array)
        assert not np.shares_memory(result, array)
        assert result.flags["C_CONTIGUOUS"]


def test_a_pil_image_is_neither_changed_nor_shared(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encode(Image.fromarray(pixels), "PNG", exif=exif)))
    result = open_image(image)
    result[:] = 0
    np.testing.assert_array_equal(np.asarray(image), pixels)
    assert image.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((4, 5), "uint8", ["(4, 5) uint8", "np.stack([gray] * 3, axis=-1)"]),
        ((4, 5, 1), "uint8", ["(4, 5, 1) uint8"]),
        ((4, 5, 4), "uint8", ["(4, 5, 4) uint8", "Image.fromarray(array)"]),
        ((3, 4, 5), "uint8", ["(3, 4, 5) uint8", "np.moveaxis(array, 0, -1)"]),
        ((2, 4, 5, 3), "uint8", ["(2, 4, 5, 3) uint8", "one picture"]),
        ((4, 5, 3), "float32", ["(4, 5, 3) float32", "(255 * array).round()"]),
        ((4, 5, 3), "int64", ["(4, 5, 3) int64", ".astype(np.uint8)"]),
        ((4, 5, 3), "bool", ["(4, 5, 3) bool"]),
        ((0, 5, 3), "uint8", ["5 x 0"]),
    ],
)
def test_other_arrays_are_refused_with_shape_dtype_and_remedy(shape, dtype, words):
    with pytest.raises(ImageError) as caught:
        open_photo(np.zeros(shape, dtype))
    for word in words:
        assert word in str(caught.value)


def test_other_objects_are_refused_by_type():
    for source, name in ((7, "int"), (None, "NoneType"), ([1], "list"), (io.BytesIO(), "BytesIO")):
        with pytest.raises(ImageError, match=name):
            open_photo(source)


# Limits


@pytest.mark.parametrize("form", ["PNG", "GIF", "JPEG", "BMP", "TIFF"])
def test_the_size_is_read_from_the_header_before_anything_is_decoded(form):
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own bomb warning must not surface
        with pytest.raises(ImageError) as caught:
            open_photo(claiming(form, 60_000, 60_000))
    assert "60,000 x 60,000 pixels (3,600.0 megapixels)" in str(caught.value)
    assert "the limit is 64 megapixels" in str(caught.value)
    assert time.perf_counter() - started < 1


def test_a_gif_whose_first_picture_reaches_beyond_its_screen_is_measured_by_it():
    data = bytearray(encode(Image.new("P", (8, 8)), "GIF", comment=b"a comment before it"))
    at = data.index(b",", 13)
    data[at + 5 : at + 9] = struct.pack("<HH", 60_000, 50_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="60,000 x 50,000 pixels"):
            open_photo(bytes(data))


def test_a_webp_claiming_much_is_refused_before_it_takes_memory():
    with pytest.raises(ImageError, match="16,383 x 16,383 pixels"):
        open_photo(claiming("WEBP", 16383, 16383))


def test_the_limit_in_megapixels_can_be_moved(pixels):
    data = encode(Image.fromarray(pixels), "PNG")
    for source in (data, pixels, Image.fromarray(pixels)):
        with pytest.raises(ImageError, match=r"53 x 37 pixels .* the limit is 0\.001 megapixels"):
            open_photo(source, max_megapixels=0.001)
        assert open_image(source, max_megapixels=0.002).shape == pixels.shape
        assert open_image(source, max_megapixels=None).shape == pixels.shape


def test_pictures_beyond_pillows_own_limit_are_ours_to_allow():
    data = encode(Image.new("1", (10_000, 9_500)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(data, max_megapixels=100).shape == (9_500, 10_000, 3)


def test_the_limit_in_bytes_names_both_numbers(tmp_path):
    path = tmp_path / "big.bmp"
    path.write_bytes(encode(Image.new("RGB", (1000, 1000)), "BMP"))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match=r"has 3\.0 MB; the limit is 1\.0 MB"):
            open_photo(source, max_bytes=1_000_000)
    assert open_image(path, max_bytes=3_000_054).shape == (1000, 1000, 3)


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    path = tmp_path / "sparse.tif"
    with path.open("wb") as file:
        file.write(b"II*\0")
        file.truncate(4_000_000_000)
    with pytest.raises(ImageError, match=r"'sparse\.tif' has 4,000\.0 MB; the limit is 385\.0 MB"):
        open_photo(path)


# Leaving nothing behind


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_no_file_stays_open(tmp_path, pixels):
    good, bad = tmp_path / "good.tif", tmp_path / "bad.jpg"
    good.write_bytes(encode(Image.fromarray(pixels), "TIFF"))
    bad.write_bytes(encode(Image.fromarray(pixels), "JPEG")[:500])
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            open_photo(good)
            with pytest.raises(ImageError):
                open_photo(bad)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_next_photo_works_after_a_bad_one(pixels):
    good = encode(Image.fromarray(pixels), "PNG")
    for bad in (good[:100], png_claiming(60_000, 60_000), b"text"):
        with pytest.raises(ImageError):
            open_photo(bad)
        np.testing.assert_array_equal(open_image(good), pixels)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_a_12_megapixel_jpeg_needs_little_more_than_its_pixels(tmp_path):
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4000, 3000), (90, 120, 30)).save(path, exif=exif)
    script = (
        "import sys, types\n"
        # The package without its __init__, whose imports (torch) would hide the peak.
        "sys.modules['segmentation'] = package = types.ModuleType('segmentation')\n"
        "package.__path__ = [sys.argv[2]]\n"
        "from segmentation.images.photo import open_image\n"
        # Of this process alone; ru_maxrss would begin at the parent's.
        "status = lambda: open('/proc/self/status').read()\n"
        "peak = lambda: int(status().split('VmHWM:')[1].split()[0]) * 1024\n"
        "before = peak()\n"
        "assert open_image(sys.argv[1]).shape == (4000, 3000, 3)\n"
        "print((peak() - before) / 1e6)\n"
    )
    package = Path(photo_module.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script, path, package], capture_output=True, text=True, check=True
    )
    # The result has 3 bytes a pixel (36 MB); Pillow's 4 are in the decoder's process.
    assert float(done.stdout) < 60


# Label files


def test_png_values_are_the_stored_numbers(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(pixels), "PNG", exif=exif)
    np.testing.assert_array_equal(open_png_values(data, "RGB"), pixels)
    with pytest.raises(ImageError, match="mode RGB with 8 bits; mode P"):
        open_png_values(data, "P")
    with pytest.raises(ImageError, match="is a JPEG file; a PNG"):
        open_png_values(encode(Image.fromarray(pixels), "JPEG"), "P")
    with pytest.raises(ImageError, match="is text; a PNG"):
        open_png_values(b"hello", "P")
