"""From a picture to a `Segmentation`: preprocessing, network, postprocessing."""

import os
import time
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, resize

from segmentation.devices import fit_threads
from segmentation.errors import ModelError, WeightsError
from segmentation.images.photo import Photo, open_photo
from segmentation.inference.model_runner import ModelRunner
from segmentation.inference.postprocessing import decide, decide_with_sets
from segmentation.inference.precision import checked_precision
from segmentation.inference.preprocessing import checked_size, network_size, preset_size, shape_note
from segmentation.inference.result import Segmentation
from segmentation.inference.sharper import mean_logits, sharper_size
from segmentation.models.card import ModelCard, color_note, sizes_of
from segmentation.models.card_figures import Size
from segmentation.models.download import Progress
from segmentation.models.exported.program import ProgramNetwork
from segmentation.models.loader import Model, load_model
from segmentation.models.registry import EMBEDDED, default_model, has_embedded

WARM_UP_SIZE = 64


class Segmenter:
    """A model that labels pictures.

    By default it runs a quicker copy of the network (see `inference/optimized.py`). Its labels are
    those of the published network on at least 99.9 % of the pixels of real photos.

    Args:
        model: the loaded model.
        size: shorter side in pixels that `predict` shows it by default; None for its own; a tuple
            of several averages their probabilities.
        note: what a person should know of it: why it answers and not another.
        exact: run the published network itself, bit for bit.
        precision: "float32"; "bfloat16" or "float16"; or "auto", half precision where this
            machine has it natively and the first photos keep at least 99 % of their labels.
        compiled: use `torch.compile`; seconds of waiting for each new size of photo.

    Attributes:
        model: the loaded model.
        card: what the model's card says: categories, colours, preprocessing, figures.
        size: shorter side in pixels that `predict` shows it by default; None for its own.
        note: as given, that it takes pictures of one size only, that classes share a colour, or
            that this machine cannot compute in the precision asked for; mostly empty.
        exact: as given.
        batches: whether `predict_many` shows the network photos of one size together, as where
            several at once are quicker than one after the other.

    Raises:
        ModelError: the size is out of range, or there is no such precision.
    """

    def __init__(
        self,
        model: Model,
        *,
        size: Size = None,
        note: str = "",
        exact: bool = False,
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        self.model = model
        self.card: ModelCard = model.card
        self.size = checked_size(size)
        self.exact = exact
        self._set_thresholds: dict[Size, float | None] = {}
        # on a CPU one photo keeps every core busy (benchmarks/README.md); an exported program may
        # take one photo at a time alone
        self.supports_batching = model.device.type == "cuda" and not isinstance(
            model.network, ProgramNetwork
        )
        self._runner = ModelRunner(model, exact=exact, precision=precision, compiled=compiled)
        self.note = " ".join(
            filter(None, (note, shape_note(model), color_note(model.card), self._runner.note))
        )

    @property
    def precision(self) -> str:
        """What the network computes in: "float32", "bfloat16" or "float16"."""
        return self._runner.precision

    @property
    def categories(self) -> tuple[str, ...]:
        """Raw class names by index."""
        return self.model.card.categories

    def __repr__(self) -> str:
        return f"Segmenter({self.model.name!r}, device={str(self.model.device)!r})"

    def predict(self, image: Any, *, size: Size = None) -> Segmentation:
        """Label every pixel of a picture.

        Args:
            image: a path, bytes, a PIL image, an (H, W, 3) uint8 RGB array, or a `Photo`.
            size: shorter side in pixels that the network is shown; None means the model's own,
                and then the preprocessing is the published one, bit for bit. For a tuple of sizes
                the network runs at each, and their probabilities are averaged.

        Returns:
            The result at the picture's full size.

        Raises:
            ImageError: the picture cannot be read.
            ModelError: the size is out of range, or the network fails.
        """
        return self.predict_many([image], size=size)[0]

    def predict_many(self, images: Sequence[Any], *, size: Size = None) -> list[Segmentation]:
        """Label several pictures; see `supports_batching`.

        Args:
            images: each as for `predict`.
            size: as for `predict`.

        Returns:
            A result for each picture, in their order; `seconds` is each one's share.

        Raises:
            ImageError, ModelError: as `predict`, for any of them.
        """
        size = checked_size(size) or self.size
        photos = [open_photo(image) for image in images]
        parts: list[list[Tensor]] = [[] for _ in photos]
        seconds = [0.0] * len(photos)
        for shown in size if isinstance(size, tuple) else (size,):
            for index, (logits, taken) in enumerate(self._run(photos, shown)):
                parts[index].append(logits)
                seconds[index] += taken
        return [
            self._result(part, photo.image.shape[:2], size, taken)
            for part, photo, taken in zip(parts, photos, seconds, strict=True)
        ]

    def _run(self, photos: Sequence[Photo], size: int | None) -> list[tuple[Tensor, float]]:
        """Each photo's logits (C, h, w) at one size, and its share of the seconds."""
        start = time.perf_counter()
        batches = [self.preprocess(Image.fromarray(p.image), size=size) for p in photos]
        together: dict[Any, list[int]] = {}
        for index, batch in enumerate(batches):
            together.setdefault(batch.shape if self.supports_batching else index, []).append(index)
        share = (time.perf_counter() - start) / max(1, len(photos))
        found: dict[int, tuple[Tensor, float]] = {}
        for indices in together.values():
            begun = time.perf_counter()
            many = self._forward(torch.cat([batches[i] for i in indices]))  # (n, C, h, w)
            each = share + (time.perf_counter() - begun) / len(indices)
            for index, logits in zip(indices, many, strict=True):
                found[index] = logits, each
        return [found[index] for index in range(len(photos))]

    def logits(self, image: Any, *, size: Size = None) -> Tensor:
        """What the network says of a picture, before any pixel is decided; for moving pictures.

        Args:
            image: as for `predict`.
            size: as for `predict`.

        Returns:
            (C, h, w) float32 on the CPU, as `Segmentation.logits`.

        Raises:
            ImageError, ModelError: as `predict`.
        """
        photos = [open_photo(image)]
        sizes = sizes_of(checked_size(size) or self.size)
        return mean_logits([self._run(photos, shown)[0][0] for shown in sizes])

    def warm_up(self) -> None:
        """Run the network once on nothing, so that the first photo need not wait for that."""
        black = Image.new("RGB", (WARM_UP_SIZE, WARM_UP_SIZE))
        self._runner.warm_up(self.preprocess(black, size=WARM_UP_SIZE))

    def _result(
        self, parts: Sequence[Tensor], size: tuple[int, int], shown: Size, seconds: float
    ) -> Segmentation:
        """The network's logits as a result for a photo of `size`.

        Args:
            parts: what the network gave at each size, (C, h, w).
            size: (H, W) of the photo.
            shown: shorter side in pixels that the network was shown; None for the model's own.
            seconds: spent so far.
        """
        start = time.perf_counter()
        logits = parts[0] if len(parts) == 1 else mean_logits(parts)  # (C, h, w)
        if shown not in self._set_thresholds:
            figures = self.card.figures_at(shown)
            self._set_thresholds[shown] = figures.set_threshold if figures else None
        threshold, sizes = self._set_thresholds[shown], None
        if threshold is None:
            class_map, confidence, runner_up = decide(logits, size)
        else:
            class_map, confidence, runner_up, sizes = decide_with_sets(logits, size, threshold)
        return Segmentation(
            class_map=class_map,
            confidence=confidence,
            runner_up=runner_up,
            logits=logits,
            categories=self.model.card.categories,
            model=self.model.name,
            device=str(self.model.device),
            seconds=seconds + time.perf_counter() - start,
            precision=self._runner.precision,
            set_sizes=sizes,
            set_threshold=threshold,
        )

    def preprocess(self, image: Image.Image, *, size: int | None = None) -> Tensor:
        """A picture as the network wants it: (1, 3, h, w) float32 on the CPU.

        The model's published transforms do it, untouched, unless `size` is given, the picture is
        a panorama, or the network does not take the resulting sides.
        """
        model = self.model
        natural = preset_size(image.height, image.width, size or model.card.resize)
        wanted = network_size(model, natural)
        if wanted != natural:
            image = resize(
                image, list(wanted), interpolation=InterpolationMode.BILINEAR, antialias=True
            )
            return model.card.transforms(resize=False)(image)[None]
        transforms = model.transforms if size is None else model.card.transforms(size)
        return transforms(image)[None]

    def _forward(self, batch: Tensor) -> Tensor:
        """Run the network: (N, 3, h, w) to logits (N, C, h', w') float32 on the CPU."""
        model = self.model
        logits = self._runner(batch)
        if logits.shape[1] != len(model.card.categories):
            raise ModelError(
                f"{model.name} answers with {logits.shape[1]} classes, but its card lists "
                f"{len(model.card.categories)} categories: correct the card"
            )
        # quicker than a question to each: what is not a number makes both ends so
        if not torch.isfinite(torch.stack(torch.aminmax(logits))).all():
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
    size: Size = None,
    sharper: bool = False,
    exact: bool = False,
    precision: str = "float32",
    compiled: bool = False,
) -> Segmenter:
    """Load a model and get what labels pictures with it.

    Args:
        name_or_path: a name in `MODELS`, the path of a `.pt2` file, or None for the default model;
            then the embedded one stands in where the default's weights cannot be had, and the
            segmenter's `note` says so.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        weights: a state dict to use instead of the published one.
        progress: called with (bytes done, bytes in all or None) while weights download.
        size: shorter side in pixels to show the network by default; see `Segmenter`.
        sharper: show it the sizes that its card has measured for sharper outlines.
        exact: see `Segmenter`; so are `precision` and `compiled`.
        precision: see `Segmenter`.
        compiled: see `Segmenter`.

    Raises:
        ModelError, WeightsError, DeviceError: see `load_model` and `Segmenter`.
    """
    options = {"exact": exact, "precision": precision, "compiled": compiled}
    checked_size(size)
    if sharper and size is not None:
        raise ModelError(f"sharper chooses the sizes itself: leave out size={size}")
    checked_precision(precision, exact=exact)
    name = name_or_path if name_or_path is not None else default_model(device)
    fit_threads()
    try:
        model = load_model(name, device=device, weights=weights, progress=progress)
        return Segmenter(model, size=sharper_size(model.card) if sharper else size, **options)
    except WeightsError as error:
        if name_or_path is not None or weights is not None or not has_embedded():
            raise
        note = f"the small built-in model answers, because there are {error}."
        model = load_model(EMBEDDED, device=device)
        size = sharper_size(model.card) if sharper else size
        return Segmenter(model, size=size, note=note, **options)
