"""A JPEG with every kind of personal metadata, and a parser of a JPEG's segments."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

SECRET = b"grandma in Graz"


def gossip(**options) -> bytes:
    """Return a JPEG with every kind of metadata that a phone, an editor or a person writes."""
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = SECRET.decode(), "Phone " + SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 4.0, 13.5), 3: "E", 4: (15.0, 26.0, 7.0)})
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + SECRET
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    picture().save(
        buffer, "JPEG", quality=88, exif=exif, icc_profile=profile, comment=SECRET, **options
    )
    data = buffer.getvalue()
    parts = (
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"),
        (0xE0, b"JFXX\0\x10" + SECRET),
        (0xE2, b"MPF\0MM\0*" + SECRET),
        (0xED, b"Photoshop 3.0\x008BIM" + SECRET),
        (0xEF, SECRET),
    )
    segments = [struct.pack(">BBH", 0xFF, m, len(body) + 2) + body for m, body in parts]
    at = 20  # after SOI and JFIF
    # the last part is the video of a motion photo
    return data[:at] + b"".join(segments) + data[at:] + b"\0\0\0\x18ftypmp42" + SECRET


def picture(height=77, width=90) -> Image.Image:
    """Return an image of waves."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(x / 9 + k) * np.cos(y / 7 + 2 * k) for k in range(3)]
    return Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8))


def segments_of(data: bytes) -> list[tuple[int, bytes]]:
    """Return marker and body of each segment of a JPEG with one scan at its end."""
    assert data[:2] == b"\xff\xd8"
    segments, at = [], 2
    while not segments or segments[-1][0] != 0xDA:
        assert data[at] == 0xFF
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    assert data.index(b"\xff\xd9", at) == len(data) - 2
    return segments
