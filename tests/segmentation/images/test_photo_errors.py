"""Files that are no photos, and paths that are no files: each error with its message."""

import os
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers.image_files import FORMS, claiming, encode, png_claiming
from segmentation.errors import ImageError
from segmentation.images.decoding.decoder_process import decoder
from segmentation.images.file_types import sniff
from segmentation.images.photo import open_image, open_photo
from segmentation.images.source import display_filename


@pytest.fixture
def pixels(rng):
    """(37, 53, 3) uint8: a smooth picture with some noise, so that every format has work."""
    y, x = np.mgrid[:37, :53]
    smooth = np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], -1)
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


# Files that are no images


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"Dear diary, today I saw a cat.\n", "text"),
        ("Grüße aus Köln, ein Text".encode(), "text"),
        ("\ufeffText".encode("utf-16"), "text"),
        (b"<!DOCTYPE html><html><body>", "an HTML page"),
        (b"<html><script>alert(1)</script>", "an HTML page"),
        (b"<?xml version='1.0'?><svg onload='x()'/>", "an SVG drawing"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a WAV recording"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"\0\0\1\0\1\0", "a Windows icon (ICO)"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (bytes(100), "nothing but zeros"),
        (bytes(range(128, 256)), "a file of unknown kind"),
        (b"BM, a text about cars", "text"),
        (b"\xff", "a file of unknown kind"),
    ],
)
def test_what_is_no_picture_is_named(data, kind, tmp_path):
    assert sniff(data) == kind
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        open_photo(path)
    assert str(caught.value).startswith(f"'holiday.jpg' is {kind}, not a picture")
    assert "JPEG, PNG, WebP" in str(caught.value)


def test_heic_without_the_extra_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="pip install pillow-heif, or save the photo as JPEG"):
        open_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))


def test_heic_with_the_extra_is_read(pixels):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the optional pillow-heif is absent")
    pillow_heif.register_heif_opener()
    data = encode(Image.fromarray(pixels), "HEIF", quality=95)
    assert np.abs(open_image(data).astype(int) - pixels).mean() < 4


def test_an_empty_file_says_so(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(ImageError, match=r"^'empty\.png' is empty\.$"):
        open_photo(path)
    with pytest.raises(ImageError, match=r"^This file is empty\.$"):
        open_photo(b"")


@pytest.mark.parametrize(
    ("form", "options"), [*FORMS.items(), ("JPEG", {"progressive": True}), ("PNG", {"mode": "P"})]
)
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_a_file_cut_anywhere_is_an_error_or_the_whole_picture(form, options, pixels):
    options = dict(options)
    image = Image.fromarray(pixels).convert(options.pop("mode", "RGB"))
    data = encode(image, form, **options)
    whole = open_image(data)
    for share in [*np.linspace(0, 1, 60)[1:-1], 1]:
        cut = data[: min(int(share * len(data)), len(data) - 1)]
        try:
            result = open_image(cut)
        except ImageError:
            continue
        np.testing.assert_array_equal(result, whole)
    with pytest.raises(ImageError):
        open_photo(data[: len(data) // 2])


def test_a_cut_jpeg_is_called_cut_short(pixels):
    data = encode(Image.fromarray(pixels), "JPEG")
    with pytest.raises(ImageError, match="This file is cut short"):
        open_photo(data[: len(data) // 2])


@pytest.mark.parametrize("form", FORMS)
def test_flipped_bits_give_a_picture_or_a_typed_error(form, pixels, rng):
    data = encode(Image.fromarray(pixels), form, **FORMS[form])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            broken = bytearray(data)
            for at in rng.integers(0, min(len(data), 2000), 3):
                broken[at] ^= 1 << rng.integers(8)
            try:
                result = open_image(bytes(broken), max_megapixels=1)
            except ImageError:
                continue
            assert result.ndim == 3
            assert result.dtype == np.uint8


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("form", ["PNG", "GIF", "JPEG", "BMP", "TIFF"])
def test_sizes_of_zero_are_refused(form, size):
    with pytest.raises(ImageError):
        open_photo(claiming(form, *size))


def test_a_size_of_zero_is_told_with_the_numbers():
    with pytest.raises(ImageError, match="says it is 0 x 5 pixels"):
        open_photo(png_claiming(0, 5))


@pytest.mark.parametrize(
    "error",
    [
        *(OSError, SyntaxError, ValueError, struct.error, EOFError, OverflowError, MemoryError),
        *(zlib.error, IndexError, KeyError, RecursionError, TypeError, AttributeError),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
        *(Image.UnidentifiedImageError, NotImplementedError),
    ],
)
def test_whatever_a_decoder_raises_becomes_an_image_error(error, monkeypatch):
    def fail(self):
        raise error("secret /path/of/the/server")

    monkeypatch.setattr(decoder, "apart", False)  # here, where it can be made to raise
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(ImageError) as caught:
        open_photo(encode(Image.new("RGB", (4, 4)), "PNG"))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, error)


def test_a_closed_pil_image_is_an_image_error(tmp_path):
    path = tmp_path / "closed.png"
    path.write_bytes(encode(Image.new("RGB", (4, 4)), "PNG"))
    image = Image.open(path)
    image.close()
    with pytest.raises(ImageError, match="This picture cannot be decoded"):
        open_photo(image)


# Paths


def test_paths_that_are_no_files_are_told_apart(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for path, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "gone.jpg", "'gone.jpg' does not exist"),
        ("https://example.com/cat.jpg", "Download the picture first"),
        (tmp_path / "pipe.jpg", "'pipe.jpg' is a device or a pipe"),
        ("/dev/zero", "is a device or a pipe"),
        (tmp_path / "loop.jpg", "cannot be opened"),
        ("x" * 5000, "file name too long"),
        ("a\0b.jpg", "NUL character"),
        ("", "path is empty"),
        ("\udcff\ud800", "cannot be opened|does not exist"),
    ]:
        with pytest.raises(ImageError, match=words):
            open_photo(path)


def test_a_refused_permission_says_so(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "locked.jpg"
    path.write_bytes(b"x")
    monkeypatch.setattr("segmentation.images.source.os.open", refuse)
    with pytest.raises(ImageError, match=r"'locked\.jpg' may not be read"):
        open_photo(path)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/ann/cat.jpg", "'cat.jpg'"),
        ("<script>alert(1)</script>", "'script?'"),
        ("<img src=x onerror=alert(1)>.jpg", "'?img src=x onerror=alert(1)?.jpg'"),
        ("line\nbreak\x1b[31m\u202e.jpg", "'line?break?[31m?.jpg'"),
        ("Straße 東京.jpg", "'Straße 東京.jpg'"),
        ("n" * 500 + ".jpg", "'" + "n" * 40 + "..." + "n" * 13 + ".jpg'"),
    ],
)
def test_names_in_messages_are_short_and_harmless(path, shown):
    assert display_filename(path) == shown
