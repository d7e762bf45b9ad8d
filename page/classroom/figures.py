"""Figures for the classroom: arrays in, HTML out.

Every image is a data URL, so nothing is written to disk.
"""

import base64
import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from page.classroom.text import escape, percent
from page.service.result_cache import LabelResult
from segmentation import blend, colorize, display_name
from segmentation.explain.colormap import apply_colormap
from segmentation.inference.result import BACKGROUND_NAMES, Segmentation

SIDE = 640  # longer side of an image, in pixels
GRID_SIDE = 160  # longer side of the label map that the pointer reads
ALPHA = 0.6  # of labels over a photo
MAX_CHIPS = 5
CONFUSION_COLORS = np.array([[0, 0, 0], [13, 148, 136], [217, 119, 6], [190, 24, 93]], np.uint8)
"""Right, missed and extra: teal, amber, magenta; they also differ in lightness."""


def fit_size(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """Return (height, width) scaled down so that the longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def thumbnail(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return an image (H, W, 3) uint8 scaled down to `side`, if it is larger."""
    size = fit_size(image.shape[:2], side)
    if size == image.shape[:2]:
        return image
    small = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=2)
    return np.asarray(small)


def thumbnail_map(class_map: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return a class map or mask (H, W) at the size of `thumbnail`, by the nearest pixel."""
    return resize_nearest(class_map, fit_size(class_map.shape, side))


def resize_nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an array (H, W) resized to `size` by the nearest pixel."""
    rows, columns = (
        (2 * np.arange(n) + 1) * old // (2 * n) for n, old in zip(size, values.shape, strict=True)
    )
    return values[rows[:, None], columns[None]]


def data_url(image: np.ndarray, *, exact: bool = False) -> str:
    """Return an image as a data URL: JPEG, or PNG if `exact`."""
    buffer = io.BytesIO()
    if exact:
        Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=86, subsampling=0)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def frame(
    image: np.ndarray,
    caption: str,
    *,
    alt: str,
    photo_size: tuple[int, int] | None = None,
    drawing: str = "",
    view: tuple[float, float, float, float] | None = None,
    pick: bool = True,
    grid: str = "",
    exact: bool = False,
    classes: str = "",
) -> str:
    """Return a figure: an image, an optional drawing over it, a caption.

    Args:
        image: (h, w, 3) uint8.
        caption: HTML.
        alt: description of the image.
        photo_size: (H, W) of the photo, the unit of `drawing` and `view`.
        drawing: SVG elements.
        view: (left, top, width, height) of the part of the plane to show; the photo if None.
        pick: a click chooses the pixel.
        grid: from `label_grid`.
        exact: use PNG and scale by whole pixels, without blur.
        classes: CSS classes.
    """
    height, width = photo_size or image.shape[:2]
    left, top, wide, high = view or (0, 0, width, height)
    svg = (
        f'<svg viewBox="{left:g} {top:g} {wide:g} {high:g}" aria-hidden="true">{drawing}</svg>'
        if drawing
        else ""
    )
    position = ""
    if view:
        position = (
            f' style="left:{-left / wide:.4%};top:{-top / high:.4%};'
            f'width:{width / wide:.4%};height:{height / high:.4%}"'
        )
    act = (
        f' data-pick data-height="{height}" data-width="{width}"'
        f' data-area="{left:g} {top:g} {wide:g} {high:g}"'
    )
    return (
        f'<figure class="cl-figure {classes}"><div class="cl-frame{" cl-exact" if exact else ""}"'
        f' style="aspect-ratio:{wide:g}/{high:g}"{act if pick else ""}{grid}>'
        f'<img alt="{escape(alt)}" src="{data_url(image, exact=exact)}"{position}>{svg}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def row(*figures: str, linked: bool = False, classes: str = "") -> str:
    """Return figures side by side; linked ones share one pointer."""
    kind = f"cl-figures {'cl-linked' if linked else ''} {classes}"
    return f'<div class="{kind}">{"".join(figures)}</div>'


def label_figure(
    entry: LabelResult,
    caption: str,
    *,
    image: np.ndarray | None = None,
    result: Segmentation | None = None,
    pick: bool = True,
    classes: str = "",
) -> str:
    """Return a figure of a photo under its labels, with a legend and the class at the pointer.

    Args:
        entry: the labelled photo; its model's colours are used.
        caption: HTML.
        image: (H, W, 3) uint8 to show instead of the photo.
        result: labels to show instead of the photo's own.
        pick: see `frame`.
        classes: CSS classes.
    """
    image, result = entry.photo.image if image is None else image, result or entry.result
    palette, small = entry.card.palette_array, thumbnail_map(result.class_map)
    mask = small != 0 if result.categories[0] in BACKGROUND_NAMES else None  # clear background
    return frame(
        blend(thumbnail(image), colorize(small, palette), ALPHA, mask=mask),
        caption + class_chips(result, palette),
        alt="Labels over the photo: " + class_summary(result),
        photo_size=result.class_map.shape,
        pick=pick,
        grid=label_grid(result),
        classes=classes,
    )


def label_grid(result: Segmentation) -> str:
    """Return HTML attributes from which the page reads the class at the pointer."""
    small = thumbnail_map(result.class_map, GRID_SIDE)
    names = {int(i): display_name(result.categories[i]) for i in np.unique(small)}
    data = base64.b64encode(np.ascontiguousarray(small).tobytes()).decode()
    return (
        f' data-grid="{data}" data-columns="{small.shape[1]}"'
        f' data-names="{escape(json.dumps(names))}"'
    )


def class_summary(result: Segmentation) -> str:
    """Return a result's largest classes with their shares, as text."""
    return ", ".join(
        f"{display_name(area.name)} {percent(area.fraction).replace('&lt;', 'below ')}"
        for area in result.areas()[:MAX_CHIPS]
    )


def color(palette: np.ndarray, index: int) -> str:
    """Return a class's colour in CSS notation."""
    return "#" + bytes(palette[index]).hex()


def class_chips(result: Segmentation, palette: np.ndarray) -> str:
    """Return a result's largest classes as an HTML list with colour, name and share."""
    areas = result.areas()
    items = "".join(
        f'<li><i style="background:{color(palette, area.index)}"></i>'
        f"{escape(display_name(area.name))} <b>{percent(area.fraction)}</b></li>"
        for area in areas[:MAX_CHIPS]
    )
    more = f"<li>and {len(areas) - MAX_CHIPS} more</li>" if len(areas) > MAX_CHIPS else ""
    return f'<ul class="cl-chips">{items}{more}</ul>'


def highlight(image: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return the photo in grey with the changed pixels in magenta."""
    picture = (_grey(thumbnail(image)) * 0.45 + 110).astype(np.uint8)
    picture[thumbnail_map(changed)] = CONFUSION_COLORS[3]
    return picture


def confusion_overlay(image: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return right, missed and extra pixels over the photo in grey."""
    grey, marks = _grey(thumbnail(image)), thumbnail_map(marks)
    return blend((grey * 0.7 + 60).astype(np.uint8), CONFUSION_COLORS[marks], 0.75, mask=marks > 0)


def heatmap_overlay(image: np.ndarray, values: np.ndarray, strength: float = 0.8) -> np.ndarray:
    """Return values (h, w) in [0, 1] as colours over the photo in grey."""
    grey = _grey(thumbnail(image))
    colors = Image.fromarray(apply_colormap(values))
    colors = colors.resize(grey.shape[1::-1], Image.Resampling.BILINEAR)
    return blend(grey, np.asarray(colors), strength)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def scale(low: str, high: str) -> str:
    """Return the legend of a heat map."""
    return f'<span class="cl-scale"><span>{low}</span><i></i><span>{high}</span></span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table of HTML cells; the first cell of each row is its header."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{cells[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells[1:])
        + "</tr>"
        for cells in rows
    )
    return (
        f'<div class="cl-scroll"><table class="cl-table"><caption>{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )
