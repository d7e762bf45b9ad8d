"""Convert images of every Pillow mode to upright 8-bit RGB.

It works strip by strip, so that it needs little memory beyond the image and the result.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms

from segmentation.images.value_range import LIMITS, conventional_range, stretched

_STRIP_PIXELS = 1 << 18
_ORIENTATION = 0x0112  # the EXIF tag

# Colour space of an ICC profile -> the mode for Pillow's colour management.
_PROFILE_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_rgb(
    image: Image.Image, extent: tuple[int, int, int, int] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return an image's pixels as a screen shows them on white.

    EXIF orientation is applied, an embedded ICC profile converted to sRGB, transparency composited
    over white, 16 bits scaled to 8. 32-bit integers and floats have no fixed range; theirs comes
    from `conventional_range`, with a note where values are stretched.

    Args:
        image: A loaded Pillow image of any mode; it is not changed.
        extent: Left, top, right and bottom of the opaque part, where the pixels outside it are
            transparent whatever their values; None for all of the image.

    Returns:
        Pixels (H, W, 3) uint8 RGB, contiguous; and notes for the user.
    """
    notes: list[str] = []
    orientation = _orientation(image)
    width, height = image.size
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _as_stored(upright, orientation)  # (height, width, 3), a view
    to_8_bits = _depth_converter(image, notes)
    transform = None
    for top, strip in _strips(image):
        color, alpha = to_8_bits(strip)
        if top == 0:
            transform = _profile_transform(image, color.mode, notes)
        if transform is not None:
            color = ImageCms.applyTransform(color, transform)
        elif color.mode != "RGB":
            color = color.convert("RGB")
        rgb = np.asarray(color)  # (rows, width, 3)
        if alpha is not None:
            rgb = _over_white(rgb, alpha)
        stored[top : top + len(rgb)] = rgb
    if extent is not None:
        left, top, right, bottom = extent
        stored[:top], stored[bottom:], stored[:, :left], stored[:, right:] = [255] * 4
    return upright, notes


def load_webp(image: Image.Image) -> Image.Image:
    """Decode the first frame of a WebP with at most 12 bytes a pixel of memory instead of 16.

    Pillow would copy the frame while its decoder still holds two canvases.
    """
    decoder = getattr(image, "_decoder", None)
    if decoder is None:
        image.load()
        return image
    mode = image.rawmode  # "RGBX" or "RGBA", four bytes a pixel
    image._decoder = None
    frame = decoder.get_next()
    del decoder
    if frame is None:
        raise EOFError("truncated")
    loaded = Image.frombuffer(mode, image.size, frame[0], "raw", mode, 0, 1)  # no copy
    loaded.info = image.info
    loaded.format = "WEBP"
    return loaded


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata does not spoil the image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view of the upright image in the order in which the file stores its rows."""
    turned = upright.swapaxes(0, 1) if orientation >= 5 else upright
    row_step = -1 if orientation in (3, 4, 6, 7) else 1
    column_step = -1 if orientation in (2, 3, 7, 8) else 1
    return turned[::row_step, ::column_step]


# A strip of any mode -> the strip in an 8-bit mode without alpha, and alpha (rows, width) or None.
_Converter = Callable[[Image.Image], tuple[Image.Image, np.ndarray | None]]


def _depth_converter(image: Image.Image, notes: list[str]) -> _Converter:
    transparency = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion of 16-bit grays saturates at 255 and ignores a key colour.
        return lambda strip: _from_16_bits(np.asarray(strip), transparency)
    if image.mode in ("I", "F"):
        low, high = _value_range(image, notes)
        return lambda strip: (Image.fromarray(stretched(np.asarray(strip), low, high)), None)
    if image.mode in ("1", "L") and isinstance(transparency, int):
        return lambda strip: _with_key(strip.convert("L"), transparency)
    if image.has_transparency_data:
        return _split_alpha
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return lambda strip: (strip, None)
    return lambda strip: (strip.convert("L" if strip.mode == "1" else "RGB"), None)


def _split_alpha(strip: Image.Image) -> tuple[Image.Image, np.ndarray]:
    gray = strip.mode in ("LA", "La")
    if strip.mode == "La":
        strip = strip.convert("LA")
    elif strip.mode not in ("LA", "RGBA"):
        strip = strip.convert("RGBA")
    alpha = np.asarray(strip.getchannel("A"))
    return strip.convert("L" if gray else "RGB"), alpha


def _with_key(strip: Image.Image, key: int | tuple[int, ...]) -> tuple[Image.Image, np.ndarray]:
    """Return the strip and an alpha of 0 where a pixel has the transparent key colour."""
    pixels = np.asarray(strip)
    clear = pixels == key if pixels.ndim == 2 else (pixels == key).all(-1)
    return strip, np.where(clear, 0, 255).astype(np.uint8)


def _from_16_bits(
    values: np.ndarray, transparency: object
) -> tuple[Image.Image, np.ndarray | None]:
    gray = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # rint(v / 257), exactly
    alpha = None
    if isinstance(transparency, int):
        alpha = np.where(values == transparency, 0, 255).astype(np.uint8)
    return Image.fromarray(gray), alpha


def _value_range(image: Image.Image, notes: list[str]) -> tuple[float, float]:
    """Return the values of black and white in an image of mode I or F."""
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if image.format == "PPM" and image.mode == "I":
        return 0.0, 65535.0  # Pillow scales every PPM to this
    limits = LIMITS["f"] if image.mode == "F" else LIMITS["i"][:2]
    low, high, note = conventional_range(low, high, limits)
    notes += [note] if note else []
    return low, high


def _over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return rint((a * rgb + (255 - a) * 255) / 255), exact: 255 is odd, so there are no ties."""
    weight = alpha.astype(np.uint16)[..., None]  # (rows, width, 1)
    mixed = weight * rgb  # (rows, width, 3) uint16, at most 65,152 in what follows
    mixed += (255 - weight) * 255 + 127
    return (mixed + 1 + (mixed >> 8)) >> 8  # mixed // 255 for all values up to 65,534


def _profile_transform(
    image: Image.Image, mode: str, notes: list[str]
) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from the embedded profile to sRGB; None if nothing is to convert."""
    data = image.info.get("icc_profile")
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(data)) if data else None
        if source is not None and _PROFILE_MODES.get(source.profile.xcolor_space) != mode:
            notes.append("its colour profile is for another kind of picture and was ignored")
            source = None
        if source is None and mode == "LAB":
            source = ImageCms.createProfile("LAB")
        if source is None:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _is_identity(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("its colour profile is broken and was ignored")
        return None


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform changes nothing: most embedded profiles are sRGB."""
    if mode == "RGB":
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(18, -1, 3)
    elif mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
    else:
        return False
    before = Image.fromarray(probe)
    after = np.asarray(ImageCms.applyTransform(before, transform)).astype(int)
    return bool((np.abs(after - np.asarray(before.convert("RGB"))) <= 1).all())
