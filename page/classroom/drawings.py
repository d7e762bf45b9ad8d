"""Drawings of views 1 to 4: boxes, masks, taps and tables, as HTML and SVG."""

from collections.abc import Iterator, Sequence

import numpy as np

from page.classroom import figures as fig
from page.classroom import text as texts
from page.service.result_cache import LabelResult
from segmentation import Region, Segmentation, display_name
from segmentation.explain.aspp import Taps
from segmentation.explain.probability_maps import class_scores

MIN_SCORE = 0.05  # classes without a pixel are listed from this best score
MAX_CLASSES = 9
MASK_SIDE = 320
MARGIN = 0.6  # part of the longer side; taps farther out are drawn at this edge
BRANCH_COLORS = ("#f8fafc", "#5eead4", "#fbbf24", "#f472b6", "#93c5fd", "#c4b5fd")


def count(number: int, thing: str) -> str:
    """Return a number with its noun, such as "2 cells"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def classification(entry: LabelResult, palette: np.ndarray) -> str:
    """Return the figure of step 1: the classes with their scores."""
    scores = [s for s in class_scores(entry.result) if s.fraction > 0 or s.best >= MIN_SCORE]
    scores = scores[:MAX_CLASSES]
    rows = "".join(
        f'<li data-link="c{s.index}" tabindex="0" class="{"" if s.fraction else "cl-faint"}">'
        f'<i style="background:{fig.color(palette, s.index)}"></i>'
        f"<span>{texts.escape(display_name(s.name))}</span>"
        f'<meter min="0" max="1" value="{s.best:.3f}">{s.best:.0%}</meter>'
        f"<b>{s.best:.0%}</b><small>"
        + (f"{texts.percent(s.fraction)} of the pixels" if s.fraction else "wins no pixel")
        + "</small></li>"
        for s in scores
    )
    return (
        f'<figure class="cl-figure"><ul class="cl-scores">{rows}</ul><figcaption>'
        "<strong>1 Classification</strong> What? Each class with its best score anywhere in the "
        "photo.</figcaption></figure>"
    )


def rect(box: tuple[int, int, int, int], classes: str, extra: str = "") -> str:
    """Return a box (top, left, bottom, right) as SVG."""
    top, left, bottom, right = box
    return (
        f'<rect class="{classes}" x="{left}" y="{top}" width="{right - left}" '
        f'height="{bottom - top}" {extra}/>'
    )


def region_box(region: Region, palette: np.ndarray, size: tuple[int, int]) -> str:
    """Return a region's box with its name as SVG."""
    color = fig.color(palette, region.index)
    top, left, _, _ = region.box
    letters = max(size) / 28
    name = texts.escape(display_name(region.name))
    return (
        f'<g data-link="c{region.index}" class="cl-box">'
        + rect(region.box, "cl-box-halo")
        + rect(region.box, "cl-box-line", f'stroke="{color}"')
        + f'<text x="{left + letters * 0.4:g}" y="{top + letters * 1.2:g}" '
        f'font-size="{letters:g}">{name} {region.confidence:.0%}</text></g>'
    )


def region_mask(region: Region, palette: np.ndarray) -> str:
    """Return a region as an SVG path of rectangles, one for each run of pixels."""
    top, left, bottom, _ = region.box
    step = max(1, max(region.size) // MASK_SIDE)
    path = []
    for y in range(step // 2, bottom - top, step):
        line = np.diff(np.concatenate([[0], region.crop[y].astype(np.int8), [0]]))
        for start, end in zip(np.flatnonzero(line > 0), np.flatnonzero(line < 0), strict=True):
            at = top + y - step // 2
            path.append(f"M{left + start} {at}h{end - start}v{step}h{start - end}z")
    color = fig.color(palette, region.index)
    return f'<path data-link="c{region.index}" class="cl-mask" fill="{color}" d="{"".join(path)}"/>'


def cross(at: tuple[int, int], size: tuple[int, int]) -> str:
    """Return a cross at a pixel (y, x) as SVG."""
    y, x, r = at[0] + 0.5, at[1] + 0.5, max(size) / 60
    return f'<path class="cl-cross" d="M{x - r} {y}h{2 * r}M{x} {y - r}v{2 * r}"/>'


def _tap_marks(
    taps: Taps, color: str, low: np.ndarray, high: np.ndarray, inset: float
) -> Iterator[str]:
    """Yield a branch's taps as SVG; taps outside of `low` to `high` are drawn at that edge."""
    radius = max(high - low) / 60
    for (y, x), inside in zip(taps.points, taps.inside, strict=True):
        beyond = y < low[0] or x < low[1] or y > high[0] or x > high[1]
        edge = radius * inset if beyond else radius
        y, x = np.clip((y, x), low + edge, high - edge)
        kind = "cl-tap" if inside else "cl-tap cl-tap-out"
        if beyond:
            kind += " cl-tap-far"
        yield (
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
            f'style="--tap:{color}"/>'
        )
        if not inside:
            arm = radius * 0.55
            yield (
                f'<path class="cl-missed" style="--tap:{color}" d="M{x - arm:.1f} '
                f"{y - arm:.1f}l{2 * arm:.1f} {2 * arm:.1f}m0 {-2 * arm:.1f}l{-2 * arm:.1f} "
                f'{2 * arm:.1f}"/>'
            )


def taps_figure(
    image: np.ndarray,
    taps: Sequence[Taps],
    at: tuple[int, int],
    on: Sequence[str],
    size: tuple[int, int],
    cell_size: np.ndarray,
) -> str:
    """Return a figure of the photo and its padding, with the taps of the branches that are on."""
    height, width = size
    points = [t.points for t in taps if t.branch in on and len(t.points)]
    reach = np.concatenate([*points, [(0, 0), (height, width)]])
    limit = MARGIN * max(size)
    pad = np.array([2, 2]) * max(size) / 60
    low = np.maximum(reach.min(axis=0) - pad, -limit)
    high = np.minimum(reach.max(axis=0) + pad, np.array(size) + limit)
    marks = []
    for number, (branch, color) in enumerate(zip(taps, BRANCH_COLORS, strict=False), 1):
        if branch.branch not in on:
            continue
        if branch.whole:
            marks.append(f'<rect class="cl-pooled" width="{width}" height="{height}"/>')
        # larger rates nearer to the edge, so that distant taps do not overlap there
        marks += _tap_marks(branch, color, low, high, 1 + 2.4 * (len(taps) - 1 - number))
    cell = np.floor(np.array(at) / cell_size) * cell_size
    marks.append(
        f'<rect class="cl-cell" x="{cell[1]:.1f}" y="{cell[0]:.1f}" '
        f'width="{cell_size[1]:.1f}" height="{cell_size[0]:.1f}"/>'
    )
    key = "".join(
        f'<li><i style="background:{color}"></i>{texts.escape(t.branch)}</li>'
        for t, color in zip(taps, BRANCH_COLORS, strict=False)
        if t.branch in on
    )
    return fig.frame(
        fig.thumbnail(image),
        "<strong>Taps</strong> filled: on the photo; crossed ring: in the padding; dashed: farther "
        f'out than drawn. <ul class="cl-chips">{key}</ul>',
        alt="The photo with the sampling taps of each branch around the chosen pixel",
        photo_size=size,
        drawing="".join(marks),
        view=(float(low[1]), float(low[0]), float(high[1] - low[1]), float(high[0] - low[0])),
        classes="cl-taps",
    )


def taps_table(
    taps: Sequence[Taps],
    on: Sequence[str],
    grid: tuple[int, int],
    stride: int,
    cell: tuple[int, int],
) -> str:
    """Return a table of what each branch reads."""
    rows = []
    for t in taps:
        outside = int((~t.inside).sum())
        if t.whole:
            reads = f"the mean of all {grid[0] * grid[1]} cells"
        elif outside:
            reads = (
                f"{count(len(t.inside) - outside, 'cell')}; <b>{outside} taps in the padding</b>"
            )
        else:
            reads = count(len(t.inside), "cell")
        rows.append((texts.escape(t.branch), "on" if t.branch in on else "off", reads))
    return fig.table(
        ("Branch", "", "It reads"),
        rows,
        f"The feature map has {grid[0]} × {grid[1]} cells at {texts.linked('[[stride]]')} "
        f"{stride}; your pixel lies in cell ({cell[0]}, {cell[1]}).",
    )


def two_bars(
    entry: LabelResult, result: Segmentation, at: tuple[int, int], off: Sequence[str]
) -> str:
    """Return a table of the pixel's probabilities, with all branches and without those off."""
    before, after = entry.result.probabilities_at(*at), result.probabilities_at(*at)
    order = np.argsort(-np.maximum(before, after), kind="stable")[:5]
    rows = [
        (
            texts.escape(display_name(entry.result.categories[i])),
            _meter(before[i]),
            *([_meter(after[i])] if off else []),
        )
        for i in order
    ]
    head = ("Class", "All branches", *(["As switched"] if off else []))
    return fig.table(head, rows, f"Your pixel, row {at[0]}, column {at[1]}")


def _meter(value: float) -> str:
    return f'<meter min="0" max="1" value="{value:.4f}"></meter> {value:.1%}'


def fields_text(
    whole: tuple[int, int, int, int] | None,
    layers: tuple[int, int, int, int] | None,
    core: tuple[int, int, int, int],
    seen: Sequence[int],
) -> str:
    """Return a list of the receptive fields' sizes, in pixels of the network's input."""

    def span(box: tuple[int, int, int, int]) -> str:
        return f"{box[2] - box[0]} × {box[3] - box[1]} px"

    parts = [
        "<dt><i class='cl-key-effect'></i>In effect</dt><dd>Nine tenths of the gradient, along "
        f"each side, lie within {span(core)}.</dd>"
    ]
    if layers:
        parts.append(
            "<dt><i class='cl-key-theory'></i>In theory</dt><dd>Convolutions and pooling windows "
            f"can see {span(layers)} from here, cut at the photo's edge.</dd>"
        )
    if whole and whole != layers:
        parts.append(
            f"<dt>With means over the whole map</dt><dd>{texts.linked('[[pooling|Image pooling]]')}"
            f" and the like see {span(whole)}: everything, but blurred into one vector.</dd>"
        )
    return (
        f'<dl class="cl-facts">{"".join(parts)}<dt>The network saw</dt>'
        f"<dd>{seen[0]} × {seen[1]} px, height × width.</dd></dl>"
    )
