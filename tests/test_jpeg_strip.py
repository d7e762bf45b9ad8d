"""A JPEG's picture alone: the same pixels, and nothing that tells of the person."""

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from profiles import rgb_profile
from segmentation.images import open_photo
from segmentation.jpeg_strip import strip_jpeg

SECRET = b"grandma in Graz"
ALLOWED = {0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE}


def picture(height=77, width=90, mode="RGB") -> Image.Image:
    """Waves with some noise."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(x / 9 + k) * np.cos(y / 7 + 2 * k) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    pixels = (np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def jpeg(mode="RGB", **options) -> bytes:
    buffer = io.BytesIO()
    picture(mode=mode).save(buffer, "JPEG", quality=88, **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Segments put right after SOI."""
    return data[:2] + b"".join(segments) + data[2:]


def gossip(**options) -> bytes:
    """A JPEG with every kind of metadata that a phone, an editor or a person leaves in it."""
    thumbnail = jpeg() + SECRET
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = SECRET.decode(), "Phone " + SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 4.0, 13.5), 3: "E", 4: (15.0, 26.0, 7.0)})
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + SECRET
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg(exif=exif, icc_profile=profile, comment=SECRET, **options)
    at = data.index(b"JFIF\0") + 14
    data = data[:at] + SECRET + data[at:]  # in the JFIF segment, after its fields
    length = int.from_bytes(data[at - 16 : at - 14], "big") + len(SECRET)
    data = data[: at - 16] + struct.pack(">H", length) + data[at - 14 :]
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
    data = with_segments(
        data,
        segment(0xE1, xmp),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + SECRET),
        segment(0xE0, b"JFXX\0\x10" + thumbnail[:5000]),
        segment(0xE2, b"MPF\0MM\0*" + SECRET),
        segment(0xED, b"Photoshop 3.0\x008BIM" + SECRET),
        segment(0xE5, SECRET),
        segment(0xEF, SECRET),
        segment(0xFE, SECRET),
    )
    return data + b"\0\0\0\x18ftypmp42" + SECRET + jpeg()  # a motion photo's film, a second picture


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Marker and body of every segment; the standard's grammar, read anew."""
    assert data[:2] == b"\xff\xd8"
    found, at = [], 2
    while data[at : at + 2] != b"\xff\xd9":
        assert data[at] == 0xFF
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length
        while marker == 0xDA and not (
            data[at] == 0xFF and data[at + 1] not in (0, *range(208, 216))
        ):
            at += 1
    assert at + 2 == len(data)  # nothing after the end
    return found


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


KINDS = [
    {},
    {"progressive": True},
    {"subsampling": "4:4:4"},
    {"subsampling": "4:2:2", "optimize": True},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", KINDS)
def test_nothing_is_left_but_the_very_pixels(options):
    data = gossip(**options)
    assert data.count(SECRET) > 12
    photo = open_photo(data)
    assert photo.jpeg is not None
    assert SECRET not in photo.jpeg
    for word in (
        b"Exif",
        b"http",
        b"MPF",
        b"ICC_PROFILE",
        b"Photoshop",
        b"ftyp",
        b"JFXX",
        b"Phone",
    ):
        assert word not in photo.jpeg
    found = segments(photo.jpeg)
    assert {marker for marker, _ in found} <= ALLOWED
    assert [body for marker, body in found if marker == 0xE0] == [b"JFIF\0\1\1\0\0\1\0\1\0\0"]
    image = Image.open(io.BytesIO(photo.jpeg))
    assert not image.getexif()
    assert set(image.info) <= {
        "jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"
    }  # fmt: skip
    np.testing.assert_array_equal(pixels_of(photo.jpeg), photo.image)


def test_metadata_between_the_scans_goes_too():
    data = jpeg(progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    at = data.rindex(b"\xff\xc4", 0, second)  # the tables before the second scan
    data = data[:at] + segment(0xFE, SECRET) + segment(0xE1, b"Exif\0\0" + SECRET) + data[at:]
    stripped = strip_jpeg(data, (77, 90))
    assert SECRET not in stripped
    np.testing.assert_array_equal(pixels_of(stripped), pixels_of(data))


def test_gray_is_kept_and_what_is_clean_only_loses_its_density():
    for data in (jpeg("L"), jpeg()):
        photo = open_photo(data)
        assert photo.jpeg == data
    assert open_photo(jpeg(dpi=(300, 300))).jpeg == jpeg()


def test_an_adobe_marker_keeps_its_meaning_and_nothing_else():
    adobe = b"Adobe\0\x65\x80\0\0\0\1" + SECRET
    data = jpeg()
    start = data.index(b"\xff\xe0")
    data = data[:start] + segment(0xEE, adobe) + data[start + 18 :]  # in place of JFIF
    stripped = open_photo(data).jpeg
    assert (0xEE, b"Adobe\0\x64\0\0\0\0\1") in segments(stripped)
    assert SECRET not in stripped
    np.testing.assert_array_equal(pixels_of(stripped), pixels_of(data))


def test_fill_bytes_before_markers_are_dropped():
    data = jpeg()
    at = data.index(b"\xff\xdb")
    end = len(data) - 2
    filled = data[:at] + b"\xff\xff" + data[at:end] + b"\xff\xff" + data[end:]
    assert open_photo(filled).jpeg == data


def orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return jpeg(exif=exif)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("turned", orientation(6)),
        ("mirrored", orientation(2)),
        ("other colours", jpeg(icc_profile=rgb_profile())),
        ("CMYK", jpeg("CMYK")),
        ("no JPEG", (lambda b: picture().save(b, "PNG") or b.getvalue())(io.BytesIO())),
    ],
)
def test_what_browsers_would_show_otherwise_is_encoded_anew(name, data):
    assert open_photo(data).jpeg is None


def test_an_upright_orientation_is_no_reason():
    assert open_photo(orientation(1)).jpeg == jpeg()


def changed(data: bytes, marker: bytes, offset: int, value: int) -> bytes:
    at = data.index(marker) + offset
    return data[:at] + bytes([value]) + data[at + 1 :]


def odd_files() -> dict[str, bytes]:
    data = jpeg()
    tables, frame, scan = (data.index(b"\xff" + m) for m in (b"\xdb", b"\xc0", b"\xda"))
    length = int.from_bytes(data[tables + 2 : tables + 4], "big")
    secret_table = segment(0xDB, data[tables + 4 : tables + 2 + length] + SECRET)
    no_jfif = data[:2] + data[20:]
    adobe_rgb = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    return {
        "nothing": b"",
        "only a start": b"\xff\xd8",
        "no scan": data[:scan] + b"\xff\xd9",
        "cut in the pixels": data[:-50],
        "cut in a header": data[:frame + 5],
        "a table with more in it": data[:tables] + secret_table + data[tables + 2 + length :],
        "junk between segments": data[:tables] + SECRET + data[tables:],
        "a length beyond the end": changed(data, b"\xff\xdb", 2, 255),
        "a length of nothing": changed(changed(data, b"\xff\xdb", 2, 0), b"\xff\xdb", 3, 1),
        "arithmetic coding": changed(data, b"\xff\xc0", 1, 0xC9),
        "lossless": changed(data, b"\xff\xc0", 1, 0xC3),
        "twelve bits": changed(data, b"\xff\xc0", 4, 12),
        "another height": changed(data, b"\xff\xc0", 6, 200),
        "two frames": data[:frame] + data[frame:frame + 19] + data[frame:],
        "another order of the colours": changed(no_jfif, b"\xff\xc0", 10, ord("R")),
        "Adobe's RGB": with_segments(data, adobe_rgb),
        "a short JFIF": data[:2] + segment(0xE0, b"JFIF\0\1") + data[20:],
        "more in a scan's header": data[:scan] + segment(0xDA, b"\3" + bytes(20)) + data[scan:],
        "lines counted later": data[:-2] + segment(0xDC, b"\0\x4d") + data[-2:],
        "segments without end": with_segments(data, *[segment(0xFE, b"")] * 1001),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "data"), odd_files().items())
def test_odd_files_are_not_handed_on(name, data):
    assert strip_jpeg(data, (77, 90)) is None


def test_a_file_much_larger_than_its_picture_is_not_handed_on():
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=100, subsampling="4:4:4")
    assert strip_jpeg(buffer.getvalue(), (500, 500)) is None


@pytest.mark.parametrize("options", KINDS)
def test_changed_files_are_refused_or_stripped_to_the_same_pixels(rng, options):
    data = gossip(**options)
    handed_on = 0
    for _ in range(150):
        bad = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            bad[rng.integers(0, len(data))] = rng.integers(0, 256)
        try:
            photo = open_photo(bytes(bad))
        except Exception:  # which errors these may be is `test_images`' concern
            continue
        if photo.jpeg is not None:
            handed_on += 1
            np.testing.assert_array_equal(pixels_of(photo.jpeg), photo.image)
            assert {marker for marker, _ in segments(photo.jpeg)} <= ALLOWED
    assert handed_on


SHOWN = """async (base64) => {
  const blob = await (await fetch("data:image/jpeg;base64," + base64)).blob();
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return Array.from(context.getImageData(0, 0, bitmap.width, bitmap.height).data);
}"""


@pytest.mark.browser
@pytest.mark.parametrize("options", KINDS[:4])
def test_a_browser_shows_the_pixels_that_were_labelled(page, options):
    photo = open_photo(gossip(**options))
    shown = page.evaluate(SHOWN, base64.b64encode(photo.jpeg).decode())
    shown = np.array(shown, np.uint8).reshape(77, 90, 4)
    assert (shown[..., 3] == 255).all()
    assert np.abs(shown[..., :3].astype(int) - photo.image).max() <= 2
