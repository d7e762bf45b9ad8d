"""A chart of the time and the changed pixels at each input size."""

from collections.abc import Sequence

from page.classroom import text as texts

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 28, 40
BAR = 44


def sweep_chart(points: Sequence[tuple[int, float, float]], own: int) -> str:
    """Return an SVG figure: for each size, seconds as bars and changed pixels as a line.

    Args:
        points: (shorter side in pixels, seconds, share of changed pixels).
        own: the model's own size.
    """
    slowest = max(seconds for _, seconds, _ in points)
    max_share = max(max(share for *_, share in points), 1e-9)
    step = (WIDTH - LEFT - RIGHT) / len(points)
    floor = HEIGHT - BOTTOM
    bars, dots, line = [], [], []
    for i, (size, seconds, share) in enumerate(points):
        x = LEFT + step * (i + 0.5)
        height = (floor - TOP) * seconds / slowest * 0.9
        y = floor - (floor - TOP) * share / max_share * 0.8
        bars.append(
            f'<rect class="cl-bar" x="{x - BAR / 2:.1f}" y="{floor - height:.1f}" width="{BAR}" '
            f'height="{height:.1f}" rx="3"/>'
            f'<text class="cl-tick" x="{x:.1f}" y="{floor + 16}">{size} px</text>'
            f'<text class="cl-tick cl-time" x="{x:.1f}" y="{floor + 33}">'
            f"{texts.seconds(seconds)}</text>"
        )
        dots.append(
            f'<circle class="cl-dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
            f'<text class="cl-share" x="{x:.1f}" y="{y - 11:.1f}">{texts.percent(share)}</text>'
        )
        line.append(f"{x:.1f},{y:.1f}")
    description = "; ".join(
        f"{size} px: {texts.seconds(seconds)}, {texts.percent(share)} changed"
        for size, seconds, share in points
    )
    return (
        '<figure class="cl-figure cl-chart">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{description}">'
        f'<line class="cl-axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>'
        f'{"".join(bars)}<polyline class="cl-line" points="{" ".join(line)}"/>{"".join(dots)}'
        "</svg><figcaption><i class='cl-key-time'></i>time for the photo "
        f"<i class='cl-key-change'></i>pixels changed against {own} px</figcaption></figure>"
    )
