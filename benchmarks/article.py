"""The article's script against `Segmenter.predict`: same photo, same network, same run.

`python -m benchmarks.article [--model deeplabv3_resnet101] [--runs 5]` builds the network with
seeded random weights (the time does not depend on their values), and prints seconds from the opened
photo to labels at the photo's size, in turn, as median, minimum and maximum.

The article's script: Resize(640), ToTensor, Normalize, the network with its auxiliary head and with
gradients, argmax, and a Python loop over the 21 classes for the colours.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models import get_model

import segmentation

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def article_script(network: nn.Module, image: Image.Image, palette: np.ndarray) -> np.ndarray:
    """The article's steps, as it writes them.

    Args:
        network: torchvision's, in eval mode.
        image: the photo, RGB.
        palette: (256, 3) uint8.

    Returns:
        (h, w, 3) uint8 colours, shorter side 640.
    """
    preprocess = transforms.Compose(
        [
            transforms.Resize(640),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    batch = preprocess(image).unsqueeze(0)  # (1, 3, h, w)
    logits = network(batch)["out"]  # (1, 21, h, w), with a graph for gradients behind it
    labels = torch.argmax(logits.squeeze(), dim=0).detach().cpu().numpy()
    red, green, blue = (np.zeros_like(labels).astype(np.uint8) for _ in range(3))
    for index in range(21):
        chosen = labels == index
        red[chosen], green[chosen], blue[chosen] = palette[index]
    return np.stack([red, green, blue], axis=2)


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, by the wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name: str, photo: Path, runs: int, size: int | None) -> dict[str, list[float]]:
    """Time both, in turn, after one warm-up each."""
    torch.manual_seed(0)
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    network = get_model(name, weights=None, weights_backbone=None, **options).eval()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pth"
        torch.save(network.state_dict(), weights)
        segmenter = segmentation.load(name, device="cpu", weights=weights, size=size)
    image, palette = Image.open(photo).convert("RGB"), segmentation.voc_palette()
    times: dict[str, list[float]] = {"article's script": [], "Segmenter.predict": []}
    for run in range(runs + 1):
        took = (
            seconds(lambda: article_script(network, image, palette)),
            seconds(lambda: segmenter.predict(image)),
        )
        if run:
            for key, value in zip(times, took, strict=True):
                times[key].append(value)
    return times


def main() -> None:
    """Read the command line, measure and print."""
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--model", default="deeplabv3_resnet101")
    parse.add_argument("--photo", type=Path, default=EXAMPLES / "astronaut.jpg")
    parse.add_argument("--runs", type=int, default=5)
    parse.add_argument("--size", type=int, help="shorter side for Segmenter.predict")
    options = parse.parse_args()
    times = measure(options.model, options.photo, options.runs, options.size)
    print(f"{options.model}, {options.photo.name}, {torch.get_num_threads()} threads, seconds")
    base = statistics.median(times["article's script"])
    for key, values in times.items():
        median = statistics.median(values)
        print(
            f"{key:20} median {median:6.2f}  min {min(values):6.2f}  max {max(values):6.2f}  "
            f"{base / median:4.1f}x"
        )


if __name__ == "__main__":
    main()
