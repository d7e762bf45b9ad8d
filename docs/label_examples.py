"""Makes the labelled examples that the page shows at once: `python -m docs.label_examples`.

To be run again when the shipped model, the page's palette or an example photo changes. Of one
photo, which the page arrives with, it writes the label map, facts and coarse logits; of every
example a thumbnail with the model's labels in the page's colours.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

import segmentation
from page.components.labelled_example import NAME
from page.tabs.examples import EXAMPLES, examples_folder
from segmentation.images.label_png import encode_label_map
from segmentation.overlay import blend
from segmentation.palette import safe_palette

WIDTH = 540
"""Of the photo that the page arrives with, in pixels: sharp on a phone, and light."""
COARSER = 4
"""Cells of the model's own grid along each side that become one: a stride of about 8 pixels."""
THUMB = (160, 120)
"""Width and height of a thumbnail in pixels: twice its size on the page."""
ALPHA = 0.6
"""Opacity of the colours in thumbnails, as the viewer's slider has it at first."""


def coarse(logits: np.ndarray) -> np.ndarray:
    """(C, h, w) floats to (C, h / 4, w / 4) float16: the means of blocks."""
    classes, height, width = logits.shape
    rows, columns = height // COARSER, width // COARSER
    cut = logits[:, : rows * COARSER, : columns * COARSER]
    blocks = cut.reshape(classes, rows, COARSER, columns, COARSER)
    return blocks.mean((2, 4)).astype(np.float16)


def thumbnail(photo: np.ndarray, class_map: np.ndarray) -> Image.Image:
    """The photo with its labels, cut to the thumbnails' shape.

    Args:
        photo: (H, W, 3) uint8 RGB.
        class_map: (H, W) uint8, the labels.
    """
    seen = blend(photo, safe_palette()[class_map], ALPHA, mask=class_map != 0)
    height, width = class_map.shape
    scale = min(width / THUMB[0], height / THUMB[1])
    wide, high = THUMB[0] * scale, THUMB[1] * scale
    left, top = max(0.0, (width - wide) / 2), max(0.0, (height - high) / 2)
    box = (left, top, min(width, left + wide), min(height, top + high))
    return Image.fromarray(seen).resize(THUMB, Image.Resampling.LANCZOS, box)


def label_alive(model: "segmentation.Segmenter", folder: Path) -> None:
    """Write the files of the photo that the page arrives with."""
    photo = folder / "labelled" / f"{NAME}.jpg"
    if not photo.exists():
        with Image.open(folder / photo.name) as image:
            size = (WIDTH, round(WIDTH * image.height / image.width))
            image.resize(size, Image.Resampling.LANCZOS).save(photo, quality=82, optimize=True)
    result = model.predict(photo)
    map_ = encode_label_map(result.class_map, result.confidence, result.runner_up, result.set_sizes)
    photo.with_suffix(".png").write_bytes(map_)
    np.save(photo.with_suffix(".npy"), coarse(result.logits.float().numpy()))
    facts = {
        "height": result.height,
        "width": result.width,
        "model": result.model,
        "device": result.device,
        "categories": result.categories,
    }
    photo.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write all files."""
    folder = examples_folder()
    thumbs = folder / "labelled" / "thumbs"
    thumbs.mkdir(parents=True, exist_ok=True)
    model = segmentation.load("embedded", device="cpu")
    label_alive(model, folder)
    for example in EXAMPLES:
        photo = segmentation.open_photo(folder / example.file)
        small = thumbnail(photo.image, model.predict(photo).class_map)
        small.save((thumbs / example.file).with_suffix(".webp"), quality=62, method=6)


if __name__ == "__main__":
    main()
