"""Pictures for the classroom: arrays in, HTML out.

Every picture is a data address, so that nothing is written to a disk.
"""

import base64
import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from page.classroom.text import escape, percent
from segmentation import blend, colorize, display_name
from segmentation.explain.colormap import apply_colormap
from segmentation.inference.result import BACKGROUND_NAMES, Segmentation

SIDE = 640  # longer side of a picture, in pixels
GRID_SIDE = 160  # of the small label map that a pointer reads
ALPHA = 0.6
CHIPS = 5
VERDICT_COLORS = np.array([[0, 0, 0], [13, 148, 136], [217, 119, 6], [190, 24, 93]], np.uint8)
"""Right, missed and extra: teal, amber, magenta; apart in lightness for colour-blind eyes."""


def fit(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """The (h, w) of a picture of `size` shown with its longer side at most `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A picture (H, W, 3) uint8 small enough to show."""
    size = fit(image.shape[:2], side)
    if size == image.shape[:2]:
        return image
    small = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=2)
    return np.asarray(small)


def shrunk_map(class_map: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Labels or masks (H, W) at the size of `shrunk`, by the nearest pixel."""
    rows, columns = (
        (2 * np.arange(n) + 1) * own // (2 * n)
        for n, own in zip(fit(class_map.shape, side), class_map.shape, strict=True)
    )
    return class_map[rows[:, None], columns[None]]


def address(image: np.ndarray, *, exact: bool = False) -> str:
    """A picture as a data address: JPEG, or PNG where every pixel counts."""
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
    """A figure: a picture, a drawing over it, a caption.

    Args:
        image: (h, w, 3) uint8.
        caption: HTML.
        alt: what the picture shows, in words.
        photo_size: (H, W) of the photo, the unit of `drawing` and `view`.
        drawing: SVG elements.
        view: (left, top, width, height) of the part of the plane to show; the photo if None.
        pick: a click chooses the pixel.
        grid: from `label_grid`.
        exact: no blur, neither in the file nor on the screen.
        classes: CSS classes.
    """
    height, width = photo_size or image.shape[:2]
    left, top, wide, high = view or (0, 0, width, height)
    svg = (
        f'<svg viewBox="{left:g} {top:g} {wide:g} {high:g}" aria-hidden="true">{drawing}</svg>'
        if drawing
        else ""
    )
    place = ""
    if view:
        place = (
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
        f'<img alt="{escape(alt)}" src="{address(image, exact=exact)}"{place}>{svg}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def row(*figures: str, linked: bool = False, classes: str = "") -> str:
    """Figures side by side; linked ones share one pointer."""
    kind = f"cl-figures {'cl-linked' if linked else ''} {classes}"
    return f'<div class="{kind}">{"".join(figures)}</div>'


def labels_on(image: np.ndarray, result: Segmentation, palette: np.ndarray) -> np.ndarray:
    """The labels over the photo, background left clear: (h, w, 3) uint8."""
    small = shrunk_map(result.class_map)
    mask = None
    if result.categories[0] in BACKGROUND_NAMES:
        mask = small != 0
    return blend(shrunk(image), colorize(small, palette), ALPHA, mask=mask)


def label_figure(
    image: np.ndarray,
    result: Segmentation,
    palette: np.ndarray,
    caption: str,
    *,
    drawing: str = "",
    pick: bool = True,
    classes: str = "",
) -> str:
    """A photo under its labels, with the classes named below and read under the pointer."""
    return frame(
        labels_on(image, result, palette),
        caption + chips(result, palette),
        alt="Labels over the photo: " + words(result),
        photo_size=result.class_map.shape,
        drawing=drawing,
        pick=pick,
        grid=label_grid(result),
        classes=classes,
    )


def label_grid(result: Segmentation) -> str:
    """Attributes from which a pointer reads the label below it."""
    small = shrunk_map(result.class_map, GRID_SIDE)
    names = {int(i): display_name(result.categories[i]) for i in np.unique(small)}
    data = base64.b64encode(np.ascontiguousarray(small).tobytes()).decode()
    return (
        f' data-grid="{data}" data-columns="{small.shape[1]}"'
        f' data-names="{escape(json.dumps(names))}"'
    )


def words(result: Segmentation) -> str:
    """The classes of a result in words, largest first."""
    return ", ".join(
        f"{display_name(area.name)} {percent(area.fraction).replace('&lt;', 'below ')}"
        for area in result.areas()[:CHIPS]
    )


def color(palette: np.ndarray, index: int) -> str:
    """A class's colour as CSS writes it."""
    return "#" + bytes(palette[index]).hex()


def chips(result: Segmentation, palette: np.ndarray) -> str:
    """The classes of a result, each with its colour, name and share."""
    areas = result.areas()
    shown = "".join(
        f'<li><i style="background:{color(palette, area.index)}"></i>'
        f"{escape(display_name(area.name))} <b>{percent(area.fraction)}</b></li>"
        for area in areas[:CHIPS]
    )
    more = f"<li>and {len(areas) - CHIPS} more</li>" if len(areas) > CHIPS else ""
    return f'<ul class="cl-chips">{shown}{more}</ul>'


def marked(image: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Where something changed: the photo in grey, the changed pixels in magenta."""
    small = shrunk(image)
    grey = np.asarray(Image.fromarray(small).convert("L").convert("RGB"))
    picture = (grey * 0.45 + 110).astype(np.uint8)
    picture[shrunk_map(changed)] = VERDICT_COLORS[3]
    return picture


def verdict_picture(image: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Right, missed and extra pixels over the photo in grey."""
    small, marks = shrunk(image), shrunk_map(marks)
    grey = np.asarray(Image.fromarray(small).convert("L").convert("RGB"))
    return blend((grey * 0.7 + 60).astype(np.uint8), VERDICT_COLORS[marks], 0.75, mask=marks > 0)


def heat_on(image: np.ndarray, values: np.ndarray, strength: float = 0.8) -> np.ndarray:
    """Numbers (h, w) in [0, 1] as colours over the photo's own light and dark."""
    small = shrunk(image)
    grey = np.asarray(Image.fromarray(small).convert("L").convert("RGB"))
    hot = Image.fromarray(apply_colormap(values)).resize(
        small.shape[1::-1], Image.Resampling.BILINEAR
    )
    return blend(grey, np.asarray(hot), strength)


def scale(low: str, high: str) -> str:
    """The legend of a heat map."""
    return f'<span class="cl-scale"><span>{low}</span><i></i><span>{high}</span></span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of HTML cells; the first of each row heads it."""
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
