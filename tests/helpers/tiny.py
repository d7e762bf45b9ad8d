"""A network that classifies by colour: red is person, green is cat, blue is dog."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.categories import VOC_CATEGORIES

PERSON, CAT, DOG = 15, 8, 12
SIDE = 64  # the card's "resize"
STRIDE = 4


class ColourNet(nn.Module):
    """Returns logits at stride 4: the amount of each class's colour, background for dark cells."""

    def __init__(self, stride: int = STRIDE) -> None:
        super().__init__()
        self.classify = nn.Conv2d(3, 21, stride, stride)
        with torch.no_grad():
            self.classify.weight.zero_()
            self.classify.bias.fill_(-8.0)
            self.classify.bias[0] = 4.0
            for channel, index in enumerate((PERSON, CAT, DOG)):
                self.classify.weight[index] = -6.0 / stride**2
                self.classify.weight[index, channel] = 12.0 / stride**2
                self.classify.bias[index] = 0.0

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """Map a batch (N, 3, H, W) in [0, 1] to {"out": logits (N, 21, H / 4, W / 4)}."""
        return {"out": self.classify(batch)}


def card(**changes: object) -> dict[str, object]:
    """Return the card of the tiny network with changes; None removes a field."""
    fields: dict[str, object] = {
        "name": "colour_net",
        "categories": list(VOC_CATEGORIES),
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "resize": SIDE,
        "palette": "voc",
        "source": "made for a test",
        "license": "CC0",
    }
    return {k: v for k, v in {**fields, **changes}.items() if v is not None}


def save_program(path: Path, *, model_card: dict[str, object] | None = None) -> Path:
    """Export the tiny network with dynamic sides and its card to `path`."""
    height, width = torch.export.Dim("height", min=8, max=8192), torch.export.Dim("width", min=8)
    program = torch.export.export(
        ColourNet().eval(),
        (torch.zeros(1, 3, 66, 70),),
        dynamic_shapes={"batch": {2: height, 3: width}},
    )
    extra = {"model.json": json.dumps(card() if model_card is None else model_card)}
    torch.export.save(program, path, extra_files=extra)
    return path


def photo(height: int = 128, width: int = 192) -> np.ndarray:
    """Return (H, W, 3) uint8: thirds in red, green and blue, and the lowest quarter black."""
    image = np.zeros((height, width, 3), np.uint8)
    third = width // 3
    image[:, :third, 0] = image[:, third : 2 * third, 1] = image[:, 2 * third :, 2] = 255
    image[height * 3 // 4 :] = 0
    return image
