"""Synthetic photos of coloured shapes in VOC layout, for training without real photos."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {1: (220, 60, 50), 2: (50, 190, 70), 3: (60, 80, 220)}
"""Disc, square, triangle; 0 is the background."""


def draw_shape(draw: ImageDraw.ImageDraw, kind: int, box: tuple[int, ...], fill: object) -> None:
    """Draw one shape in a box (left, top, right, bottom)."""
    if kind == 1:
        draw.ellipse(box, fill=fill)
    elif kind == 2:
        draw.rectangle(box, fill=fill)
    else:
        left, top, right, bottom = box
        draw.polygon([((left + right) // 2, top), (right, bottom), (left, bottom)], fill=fill)


def make_shapes(folder: Path, count: int, *, seed: int, masks: bool = True) -> Path:
    """Write `count` photos of 72 x 96 pixels with one or two shapes each, and their masks."""
    rng = np.random.default_rng(seed)
    (folder / "JPEGImages").mkdir(parents=True)
    if masks:
        (folder / "SegmentationClass").mkdir()
    for i in range(count):
        noise = rng.integers(90, 150, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)
        mask = Image.new("L", (96, 72))
        for left in rng.permutation([2, 50])[: rng.integers(1, 3)].tolist():
            kind, side = int(rng.integers(1, 4)), int(rng.integers(30, 44))
            top = int(rng.integers(0, 72 - side))
            box = (left, top, left + side, top + side)
            tint = tuple(int(c) for c in np.array(COLOURS[kind]) + rng.integers(-30, 31, 3))
            draw_shape(ImageDraw.Draw(image), kind, box, tint)
            draw_shape(ImageDraw.Draw(mask), kind, box, kind)
        image.save(folder / "JPEGImages" / f"{i:03d}.jpg", quality=95)
        if masks:
            mask.save(folder / "SegmentationClass" / f"{i:03d}.png")
    return folder
