"""Convert HDR and wide-gamut images that carry code points instead of a colour profile.

PNG has them in a cICP chunk, AVIF and HEIC in a "colr" box of kind "nclx"; they are those of ITU-T
H.273. Cameras write such HEIC files (.hif), phones such AVIF files.
"""

import numpy as np
from PIL import Image

from segmentation.images.hdr_color import (
    HLG,
    PQ,
    UNKNOWN_COLOUR,
    conversion,
    encoded,
    light_of,
    shown_light,
)

_PRIMARIES = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
_TRANSFERS = {16: PQ, 18: HLG}
_BOX = b"colrnclx"
_HEADER_BYTES = 1 << 16
_STRIP_PIXELS = 1 << 18


def box_codes(data: bytes) -> tuple[int, int] | None:
    """Return the first primaries and transfer in the header of an AVIF or HEIC, or None."""
    at = data.find(_BOX, 0, _HEADER_BYTES) + len(_BOX)
    if at < len(_BOX) or at + 4 > len(data):
        return None
    return int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")


def as_srgb(image: Image.Image, codes: tuple[int, int] | None) -> tuple[Image.Image, list[str]]:
    """Return the image in sRGB, and a note if that took a conversion.

    Args:
        image: Loaded. If it has a colour profile, the codes are ignored.
        codes: Primaries and transfer, as H.273 numbers them; None for none.
    """
    if codes is None or image.info.get("icc_profile"):
        return image, []
    primaries = _PRIMARIES.get(codes[0], UNKNOWN_COLOUR.primaries)
    transfer = _TRANSFERS.get(codes[1], "other")
    to_srgb = conversion(UNKNOWN_COLOUR._replace(primaries=primaries, transfer=transfer))
    if to_srgb is None:
        return image, []
    mode = "RGBA" if image.has_transparency_data else "RGB"
    shown = image.convert(mode)
    shown.getexif().update(image.getexif())  # the orientation
    curve = light_of(np.arange(256) / 255, to_srgb.transfer).astype(np.float32)
    steps = np.arange(1 << 16) / 0xFFFF
    signal = np.rint(255 * encoded(steps, to_srgb.transfer)).astype(np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = shown.crop((0, top, image.width, min(top + rows, image.height)))
        pixels = np.array(strip)  # (rows, W, 3 or 4)
        light = curve[pixels[..., :3].reshape(-1, 3)]
        light = shown_light(light, to_srgb.primaries, to_srgb.transfer)
        codes = signal[(light * 0xFFFF).astype(np.uint16)]
        pixels[..., :3] = codes.reshape(*pixels.shape[:2], 3)
        shown.paste(Image.fromarray(pixels), (0, top))
    return shown, [to_srgb.note]
