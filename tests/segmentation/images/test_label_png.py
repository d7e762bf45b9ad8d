"""The PNG that carries classes, confidence and runner-up to the browser."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from segmentation.errors import ImageError, PaletteError
from segmentation.images.label_png import decode_label_map, encode_label_map


@pytest.fixture
def result(rng):
    class_map = rng.integers(0, 256, (29, 31), dtype=np.uint8)
    confidence = rng.random((29, 31))
    confidence[0, :4] = [0, 1, 0.5, 1 / 255]
    return class_map, confidence, rng.integers(0, 256, (29, 31), dtype=np.uint8)


def smooth_result(height, width):
    """Blobs with soft borders, as an upsampled network gives: the kind of map that is sent."""
    y, x = np.mgrid[:height, :width]
    y, x = y / height, x / width
    logits = np.stack([np.sin(7 * x + k) * np.cos(5 * y + 2 * k) * 20 for k in range(4)])
    weights = np.exp(logits - logits.max(0))
    order = np.argsort(logits, 0)
    return (
        (order[-1] * 5).astype(np.uint8),
        (1 / weights.sum(0)).astype(np.float32),
        (order[-2] * 5).astype(np.uint8),
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_it_round_trips_to_half_a_step(result, dtype):
    class_map, confidence, runner_up = result
    confidence = confidence.astype(dtype)
    decoded = decode_label_map(encode_label_map(class_map, confidence, runner_up))
    np.testing.assert_array_equal(decoded[0], class_map)
    np.testing.assert_array_equal(decoded[2], runner_up)
    assert decoded[1].dtype == np.float32
    assert np.abs(decoded[1] - confidence).max() <= 0.5 / 255 + 1e-6


def test_red_green_and_blue_are_class_confidence_and_runner_up(result):
    class_map, confidence, runner_up = result
    image = Image.open(io.BytesIO(encode_label_map(class_map, confidence, runner_up)))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (31, 29))
    pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels[..., 0], class_map)
    np.testing.assert_array_equal(pixels[..., 1], np.rint(255 * confidence))
    np.testing.assert_array_equal(pixels[..., 2], runner_up)
    assert pixels[0, :4, 1].tolist() == [0, 255, 128, 1]


def test_no_chunk_tells_a_browser_to_change_the_numbers(result):
    data = encode_label_map(*result)
    kinds, at = [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        kinds.append(kind)
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert data[24:26] == b"\x08\x02"  # 8 bits, RGB


def test_the_arguments_stay_as_they_are(result):
    before = [array.copy() for array in result]
    encode_label_map(*result)
    for array, copy in zip(result, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_megapixel_stays_small():
    # At 866 x 1154, results on the example photos take 117 to 234 kB.
    data = encode_label_map(*smooth_result(1000, 1000))
    assert len(data) < 300_000


def test_large_maps_round_trip_too():
    class_map, confidence, runner_up = smooth_result(2001, 2000)
    decoded = decode_label_map(encode_label_map(class_map, confidence, runner_up))
    np.testing.assert_array_equal(decoded[0], class_map)
    np.testing.assert_array_equal(decoded[2], runner_up)
    assert np.abs(decoded[1] - confidence).max() <= 0.5 / 255 + 1e-6


def test_large_maps_are_about_as_small_as_pillow_makes_them():
    class_map, confidence, runner_up = smooth_result(2001, 2000)
    pixels = np.stack([class_map, np.rint(confidence * 255).astype(np.uint8), runner_up], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    ours = encode_label_map(class_map, confidence, runner_up)
    assert len(ours) < 1.3 * len(buffer.getvalue())


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_maps(size):
    class_map = np.full(size, 20, np.uint8)
    decoded = decode_label_map(encode_label_map(class_map, np.ones(size), class_map))
    np.testing.assert_array_equal(decoded[0], class_map)
    assert (decoded[1] == 1).all()


def test_a_hair_above_one_is_one():
    class_map = np.zeros((1, 2), np.uint8)
    confidence = np.array([[1 + 1e-7, -1e-8]])
    decoded = decode_label_map(encode_label_map(class_map, confidence, class_map))
    assert decoded[1].tolist() == [[1, 0]]


def test_what_does_not_fit_is_refused(result):
    class_map, confidence, runner_up = result
    for arguments, words in [
        ((class_map.astype(int), confidence, runner_up), r"class_map must be \(29, 31\) uint8"),
        ((class_map, confidence, runner_up[1:]), r"runner_up must be .* not \(28, 31\)"),
        ((class_map, confidence[1:], runner_up), r"confidence must be .* not \(28, 31\)"),
        ((class_map, class_map, runner_up), "confidence must be .* float, not .* uint8"),
        ((class_map, confidence * 100, runner_up), "must lie in 0 to 1"),
        ((class_map, confidence - 0.5, runner_up), "must lie in 0 to 1"),
        ((class_map, confidence * np.nan, runner_up), "nan"),
        ((class_map[:0], confidence[:0], runner_up[:0]), "not empty"),
    ]:
        with pytest.raises(PaletteError, match=words):
            encode_label_map(*arguments)


def test_other_pictures_are_no_label_maps(result):
    buffer = io.BytesIO()
    Image.new("L", (3, 3)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="mode L"):
        decode_label_map(buffer.getvalue())
    with pytest.raises(ImageError):
        decode_label_map(encode_label_map(*result)[:200])


def test_set_sizes_are_a_fourth_channel(rng):
    shape = (37, 23)
    class_map, runner_up = (rng.integers(0, 21, shape).astype(np.uint8) for _ in range(2))
    sizes = rng.integers(1, 5, shape).astype(np.uint8)
    confidence = np.full(shape, 0.5, np.float32)
    data = encode_label_map(class_map, confidence, runner_up, sizes)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(image)[..., 3], 256 - sizes.astype(int))
    for ours, theirs in zip(decode_label_map(data), (class_map, None, runner_up), strict=True):
        if theirs is not None:
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(PaletteError, match=r"set_sizes must be \(37, 23\) uint8"):
        encode_label_map(class_map, confidence, runner_up, sizes[:3])
