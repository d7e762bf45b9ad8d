"""From a picture to a `Segmentation`: preprocessing, network, postprocessing."""

import os
import time
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, resize

from segmentation.cards import MAX_SIZE, MIN_SIZE
from segmentation.catalog import EMBEDDED, default_model, has_embedded
from segmentation.download import Progress
from segmentation.errors import ModelError, WeightsError
from segmentation.images import open_photo
from segmentation.models import Model, load_model
from segmentation.postprocess import decide
from segmentation.result import Segmentation

MAX_ASPECT = 2.5  # a longer panorama is shown smaller, whole, so that memory stays bounded
MAX_PIXELS = 6 << 20  # of what the network is shown: 2048 x 3072
MIN_SIDE = 33  # networks of stride 32 see at least two cells


class Segmenter:
    """A model that labels pictures.

    Attributes:
        model: the loaded model.
        size: shorter side in pixels that `predict` shows it by default; None for its own.
        note: what a person should know of it: why it answers and not another, or that it takes
            pictures of one size only; mostly empty.
    """

    def __init__(self, model: Model, *, size: int | None = None, note: str = "") -> None:
        self.model = model
        self.size = _checked_size(size)
        self.note = " ".join(filter(None, (note, _shape_note(model))))

    @property
    def categories(self) -> tuple[str, ...]:
        """Raw class names by index."""
        return self.model.card.categories

    def __repr__(self) -> str:
        return f"Segmenter({self.model.name!r}, device={str(self.model.device)!r})"

    def predict(self, image: Any, *, size: int | None = None) -> Segmentation:
        """Label every pixel of a picture.

        Args:
            image: a path, bytes, a PIL image, an (H, W, 3) uint8 RGB array, or a `Photo`.
            size: shorter side in pixels that the network is shown; None means the model's own,
                and then the preprocessing is the published one, bit for bit.

        Returns:
            The result at the picture's full size.

        Raises:
            ImageError: the picture cannot be read.
            ModelError: the size is out of range, or the network fails.
        """
        size = _checked_size(size) or self.size
        photo = open_photo(image)
        start = time.perf_counter()
        height, width = photo.image.shape[:2]
        batch = self.preprocess(Image.fromarray(photo.image), size=size)
        logits = self._forward(batch)
        class_map, confidence, runner_up = decide(logits, (height, width))
        return Segmentation(
            class_map=class_map,
            confidence=confidence,
            runner_up=runner_up,
            logits=logits,
            categories=self.model.card.categories,
            model=self.model.name,
            device=str(self.model.device),
            seconds=time.perf_counter() - start,
        )

    def preprocess(self, image: Image.Image, *, size: int | None = None) -> Tensor:
        """A picture as the network wants it: (1, 3, h, w) float32 on the CPU.

        The model's published transforms do it, untouched, unless `size` is given, the picture is
        a panorama, or the network does not take the resulting sides.
        """
        model = self.model
        natural = _preset_size(image.height, image.width, size or model.card.resize)
        wanted = self._network_size(natural)
        if wanted != natural:
            image = resize(
                image, list(wanted), interpolation=InterpolationMode.BILINEAR, antialias=True
            )
            return model.card.transforms(resize=False)(image)[None]
        transforms = model.transforms if size is None else model.card.transforms(size)
        return transforms(image)[None]

    def _network_size(self, natural: tuple[int, int]) -> tuple[int, int]:
        """The (h, w) that the network is shown: the preset's, within bounds and what it takes."""
        short, long = min(natural), max(natural)
        scale = min(1.0, MAX_ASPECT * short / long)
        scale = min(scale, (MAX_PIXELS / (short * long * scale**2)) ** 0.5 * scale)
        sides = self.model.sides
        if scale < 1:
            # the longer side reaches its bound, the shorter follows as far as a network can see
            natural = tuple(max(MIN_SIDE, round(side * scale)) for side in natural)
        if self.model.square:
            natural = (short, short)
        return sides[0].nearest(natural[0]), sides[1].nearest(natural[1])

    def _forward(self, batch: Tensor) -> Tensor:
        """Run the network: (1, 3, h, w) to logits (C, h', w') float32 on the CPU."""
        model = self.model
        try:
            with torch.inference_mode():
                logits = model.network(batch.to(model.device))["out"][0].float().cpu()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ModelError(_too_large(model, batch)) from error
        except RuntimeError as error:
            if "alloc" in str(error):
                raise ModelError(_too_large(model, batch)) from error
            raise ModelError(
                f"the network of {model.name} failed on a batch of {tuple(batch.shape)}: "
                f"{str(error).strip().splitlines()[0][:200]}"
            ) from error
        if len(logits) != len(model.card.categories):
            raise ModelError(
                f"{model.name} answers with {len(logits)} classes, but its card lists "
                f"{len(model.card.categories)} categories: correct the card"
            )
        if not torch.isfinite(logits).all():
            raise ModelError(
                f"{model.name} answers with numbers that are not finite: its weights are broken, "
                "or its card's mean and std are not the ones it was trained with"
            )
        return logits


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device = "auto",
    weights: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    size: int | None = None,
) -> Segmenter:
    """Load a model and get what labels pictures with it.

    Args:
        name_or_path: a name in `MODELS`, the path of a `.pt2` file, or None for the default model;
            then the embedded one stands in where the default's weights cannot be had, and the
            segmenter's `note` says so.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        weights: a state dict to use instead of the published one.
        progress: called with (bytes done, bytes in all or None) while weights download.
        size: shorter side in pixels to show the network by default.

    Raises:
        ModelError, WeightsError, DeviceError: see `load_model`.
    """
    if name_or_path is not None or weights is not None:
        name = name_or_path if name_or_path is not None else default_model(device)
        return Segmenter(
            load_model(name, device=device, weights=weights, progress=progress), size=size
        )
    _checked_size(size)
    name = default_model(device)
    try:
        return Segmenter(load_model(name, device=device, progress=progress), size=size)
    except WeightsError as error:
        if not has_embedded():
            raise
        note = f"the small built-in model answers, because there are {error}."
        return Segmenter(load_model(EMBEDDED, device=device), size=size, note=note)


def _checked_size(size: int | None) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ModelError(
            f"size is {size!r}: it is the shorter side in pixels that the network is shown, a "
            f"whole number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return size


def _shape_note(model: Model) -> str:
    height, width = model.sides
    if height.step and width.step:
        return "every photo is squeezed to a square for it." if model.square else ""
    tall, wide = (side.low if not side.step else "any" for side in model.sides)
    return (
        f"{model.name} was exported for {tall} x {wide} pixels (height x width): every photo is "
        "squeezed to that, and a chosen size changes nothing of it."
    )


def _preset_size(height: int, width: int, short: int) -> tuple[int, int]:
    """The (h, w) that torchvision's preset makes of a picture: shorter side to `short`."""
    long = int(short * max(height, width) / min(height, width))
    return (short, long) if height <= width else (long, short)


def _too_large(model: Model, batch: Tensor) -> str:
    return (
        f"not enough memory on {model.device} for {model.name} at {batch.shape[2]} x "
        f"{batch.shape[3]}: choose a smaller size, a smaller model or another device"
    )
