"""A Pillow image that somebody hands over stays theirs: unchanged, and at its frame."""

import io

import numpy as np
import pytest
from PIL import Image

import segmentation
from segmentation.images.photo import open_photo

FRAMES = [
    np.full((24, 32, 3), color, np.uint8) for color in ((200, 0, 0), (0, 180, 0), (0, 0, 160))
]


def opened(form, animated=False, **options):
    frames = [Image.fromarray(frame) for frame in FRAMES]
    frames[0].putpixel((3, 4), (9, 99, 199))
    more = {"save_all": True, "append_images": frames[1:]} if animated else {}
    file = io.BytesIO()
    frames[0].save(file, form, **more, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def turned():
    exif = Image.Exif()
    exif[274] = 6
    return opened("JPEG", exif=exif)


IMAGES = {
    "webp": lambda: opened("WEBP", lossless=True),
    "webp animated": lambda: opened("WEBP", animated=True, lossless=True),
    "gif animated": lambda: opened("GIF", animated=True),
    "png": lambda: opened("PNG"),
    "apng": lambda: opened("PNG", animated=True),
    "jpeg": lambda: opened("JPEG"),
    "jpeg turned": turned,
    "mpo": lambda: opened("MPO", animated=True),
    "tiff": lambda: opened("TIFF", compression="tiff_lzw"),
    "tiff pages": lambda: opened("TIFF", animated=True),
    "avif": lambda: opened("AVIF"),
    "avif animated": lambda: opened("AVIF", animated=True),
    "bmp": lambda: opened("BMP"),
    "ppm": lambda: opened("PPM"),
    "in memory RGB": lambda: Image.fromarray(FRAMES[0]),
    "in memory P": lambda: Image.fromarray(FRAMES[0]).convert("P"),
    "in memory RGBA": lambda: Image.fromarray(np.dstack([FRAMES[0], FRAMES[1][..., 1]])),
    "in memory I;16": lambda: Image.fromarray(np.arange(768, dtype="u2").reshape(24, 32)),
    "in memory F": lambda: Image.fromarray(np.linspace(0, 1, 768, dtype="f4").reshape(24, 32)),
}


@pytest.fixture(scope="module")
def segmenter(tiny_program):
    return segmentation.load(tiny_program, device="cpu")


def state(image):
    image.load()  # as Pillow does at the first look at a pixel
    return image.mode, image.size, image.tell(), dict(image.info), image.tobytes()


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("loaded", [False, True])
def test_an_image_is_left_as_it_was(name, loaded, segmenter):
    image, twin = IMAGES[name](), IMAGES[name]()
    if loaded:
        image.load()
    first = segmenter.predict(image)
    np.testing.assert_array_equal(segmenter.predict(image).class_map, first.class_map)
    assert state(image) == state(twin)
    for frame in range(getattr(twin, "n_frames", 1)):
        image.seek(frame)
        twin.seek(frame)
        assert image.tobytes() == twin.tobytes()


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_frame_at_which_an_image_stands_is_the_picture(form, at):
    image = opened(form, animated=True, **({"lossless": True} if form == "WEBP" else {}))
    image.seek(at)
    photo = open_photo(image)
    assert np.abs(photo.image[10:, 10:].astype(int) - FRAMES[at][0, 0]).max() <= 3
    assert image.tell() == at
    shown = f"frame {at + 1}" if at else "first"
    page = f"page {at + 1} is shown" if at else "the first is shown"
    told = {"GIF": (), "TIFF": (f"several pages: {page}",)}
    assert photo.notes == told.get(form, (f"animated: {shown} of 3 frames shown",))
