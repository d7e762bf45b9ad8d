"""The PNG of label maps, read back by others."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segmentation.images import label_png
from segmentation.images.label_png import write_png


def written(pixels: np.ndarray, **options) -> bytes:
    """The PNG of (H, W, 3) uint8."""
    channels = [pixels[..., index] for index in range(pixels.shape[2])]
    return write_png(channels, **{"level": 1, **options})


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and body of every chunk, checksums checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (37, 53), (64, 64)])
@pytest.mark.parametrize("strip", [1, 1000, 1 << 20])
@pytest.mark.parametrize("threads", [1, 3])
def test_pillow_reads_every_pixel(monkeypatch, rng, size, strip, threads):
    monkeypatch.setattr(label_png, "STRIP_BYTES", strip)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(written(pixels, threads=threads)))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", size[::-1])
    np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("level", [1, 4, 9])
def test_the_strips_are_one_zlib_stream_with_its_checksum(monkeypatch, rng, level):
    monkeypatch.setattr(label_png, "STRIP_BYTES", 3000)
    pixels = rng.integers(0, 3, (101, 99, 3), dtype=np.uint8)
    (_, header), (kind, body), end = chunks(written(pixels, level=level, threads=2))
    assert (kind, end) == (b"IDAT", (b"IEND", b""))
    assert header == struct.pack(">IIBBBBB", 99, 101, 8, 2, 0, 0, 0)
    stream = zlib.decompressobj()
    lines = np.frombuffer(stream.decompress(body), np.uint8).reshape(101, -1)
    assert stream.eof  # checksum included
    assert stream.unused_data == b""
    assert (lines[:, 0] == 2).all()
    above = np.concatenate([np.zeros((1, 297), np.uint8), pixels.reshape(101, -1)[:-1]])
    np.testing.assert_array_equal(lines[:, 1:] + above, pixels.reshape(101, -1))


def test_strips_and_threads_change_no_pixel_of_a_flat_picture(monkeypatch):
    """Checksums of long runs of zeros and of 255 do not overflow."""
    monkeypatch.setattr(label_png, "STRIP_BYTES", 1 << 16)
    for value in (0, 255):
        pixels = np.full((1000, 700, 3), value, np.uint8)
        image = Image.open(io.BytesIO(written(pixels, threads=2)))
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_floats_are_rounded_to_steps_of_255(monkeypatch):
    monkeypatch.setattr(label_png, "STRIP_BYTES", 1)
    shares = np.array([[0, 0.25], [0.5, 1]], np.float32)
    image = Image.open(io.BytesIO(write_png([shares] * 3, level=1, threads=2)))
    assert np.asarray(image)[..., 1].tolist() == [[0, 64], [128, 255]]
