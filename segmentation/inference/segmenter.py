"""Turn an image into a `Segmentation`: preprocessing, network, postprocessing."""

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
    """A loaded model with its inference options.

    By default it runs a faster copy of the network (see `inference/optimized.py`), whose labels are
    those of the published network on at least 99.9 % of the pixels of real photos.

    Args:
        model: the loaded model.
        size: default input size of the network: its shorter side in pixels. None is the model's
            own size; for a tuple of sizes, the probabilities at each are averaged.
        note: message for the user about the choice of the model, such as why it is a fallback.
        exact: run the published network unchanged, with bit-exact results.
        precision: "float32", "bfloat16", "float16", or "auto": half precision if this machine
            supports it natively and the first photos keep at least 99 % of their labels.
        compiled: use `torch.compile`, which takes seconds for each new photo size.

    Attributes:
        model: the loaded model.
        card: the model's card: categories, colours, preprocessing, figures.
        size: default input size, as given.
        note: messages for the user, usually empty: the given note, a fixed input size, classes
            that share a colour, or a precision that this machine does not support.
        exact: as given.
        supports_batching: whether `predict_many` puts photos of equal size in one batch, which is
            done where a batch is faster than single photos.

    Raises:
        ModelError: the size is out of range, or the precision is unknown.
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
        # on a CPU one photo uses all cores (benchmarks/README.md), and an exported program may
        # accept only batches of one
        self.supports_batching = model.device.type == "cuda" and not isinstance(
            model.network, ProgramNetwork
        )
        self._runner = ModelRunner(model, exact=exact, precision=precision, compiled=compiled)
        self.note = " ".join(
            filter(None, (note, shape_note(model), color_note(model.card), self._runner.note))
        )

    @property
    def precision(self) -> str:
        """Precision that the network computes in: "float32", "bfloat16" or "float16"."""
        return self._runner.precision

    @property
    def categories(self) -> tuple[str, ...]:
        """Raw class names by index."""
        return self.model.card.categories

    def __repr__(self) -> str:
        return f"Segmenter({self.model.name!r}, device='{self.model.device}')"

    def predict(self, image: Any, *, size: Size = None) -> Segmentation:
        """Label every pixel of an image.

        Args:
            image: a path, bytes, a PIL image, an (H, W, 3) uint8 RGB array, or a `Photo`.
            size: shorter side of the network's input in pixels. None is the segmenter's default;
                if that is None too, the published preprocessing is applied bit for bit. For a
                tuple of sizes the network runs at each, and the probabilities are averaged.

        Returns:
            The result at the image's full size.

        Raises:
            ImageError: the image cannot be read.
            ModelError: the size is out of range, or the network failed.
        """
        return self.predict_many([image], size=size)[0]

    def predict_many(self, images: Sequence[Any], *, size: Size = None) -> list[Segmentation]:
        """Label several images; see `supports_batching`.

        Args:
            images: each as for `predict`.
            size: as for `predict`.

        Returns:
            The results, in the order of the images. `seconds` is the image's share of its batch.

        Raises:
            ImageError, ModelError: as for `predict`, if any image fails.
        """
        size = checked_size(size) or self.size
        photos = [open_photo(image) for image in images]
        parts: list[list[Tensor]] = [[] for _ in photos]
        seconds = [0.0] * len(photos)
        for input_size in size if isinstance(size, tuple) else (size,):
            for index, (logits, duration) in enumerate(self._run(photos, input_size)):
                parts[index].append(logits)
                seconds[index] += duration
        return [
            self._result(part, photo.image.shape[:2], size, duration)
            for part, photo, duration in zip(parts, photos, seconds, strict=True)
        ]

    def _run(self, photos: Sequence[Photo], size: int | None) -> list[tuple[Tensor, float]]:
        """Return each photo's logits (C, h, w) at one size, and its share of the seconds."""
        start = time.perf_counter()
        batches = [self.preprocess(Image.fromarray(p.image), size=size) for p in photos]
        groups: dict[Any, list[int]] = {}
        for index, batch in enumerate(batches):
            groups.setdefault(batch.shape if self.supports_batching else index, []).append(index)
        preparation = (time.perf_counter() - start) / max(1, len(photos))
        results: dict[int, tuple[Tensor, float]] = {}
        for indices in groups.values():
            start = time.perf_counter()
            outputs = self._forward(torch.cat([batches[i] for i in indices]))  # (n, C, h, w)
            duration = preparation + (time.perf_counter() - start) / len(indices)
            results.update(zip(indices, ((logits, duration) for logits in outputs), strict=True))
        return [results[index] for index in range(len(photos))]

    def logits(self, image: Any, *, size: Size = None) -> Tensor:
        """Return the logits of an image without deciding its pixels; used for video frames.

        Args:
            image: as for `predict`.
            size: as for `predict`.

        Returns:
            (C, h, w) float32 on the CPU, as `Segmentation.logits`.

        Raises:
            ImageError, ModelError: as for `predict`.
        """
        photos = [open_photo(image)]
        sizes = sizes_of(checked_size(size) or self.size)
        return mean_logits([self._run(photos, input_size)[0][0] for input_size in sizes])

    def warm_up(self) -> None:
        """Run the network once on a black image, so that the first photo is not delayed."""
        black = Image.new("RGB", (WARM_UP_SIZE, WARM_UP_SIZE))
        self._runner.warm_up(self.preprocess(black, size=WARM_UP_SIZE))

    def _result(
        self, parts: Sequence[Tensor], size: tuple[int, int], input_size: Size, seconds: float
    ) -> Segmentation:
        """Decide each pixel and return the result.

        Args:
            parts: logits at each input size, (C, h, w).
            size: (H, W) of the photo.
            input_size: shorter side of the network's input in pixels; None for the model's own.
            seconds: time spent so far.
        """
        start = time.perf_counter()
        logits = parts[0] if len(parts) == 1 else mean_logits(parts)  # (C, h, w)
        if input_size not in self._set_thresholds:
            figures = self.card.figures_at(input_size)
            self._set_thresholds[input_size] = figures.set_threshold if figures else None
        threshold, sizes = self._set_thresholds[input_size], None
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
        """Return an image as the network's input: (1, 3, h, w) float32 on the CPU.

        Applies the model's published transforms unchanged, unless `size` is given, the image is a
        panorama, or the network does not accept the resulting sides.
        """
        model = self.model
        natural = preset_size(image.height, image.width, size or model.card.resize)
        target = network_size(model, natural)
        if target != natural:
            image = resize(
                image, list(target), interpolation=InterpolationMode.BILINEAR, antialias=True
            )
            return model.card.transforms(resize=False)(image)[None]
        transforms = model.transforms if size is None else model.card.transforms(size)
        return transforms(image)[None]

    def _forward(self, batch: Tensor) -> Tensor:
        """Run the network: (N, 3, h, w) to logits (N, C, h', w') float32 on the CPU."""
        model, logits = self.model, self._runner(batch)
        if logits.shape[1] != len(model.card.categories):
            raise ModelError(
                f"{model.name} returns {logits.shape[1]} classes, but its card lists "
                f"{len(model.card.categories)} categories: correct the card"
            )
        # faster than `isfinite` of every value: aminmax passes on NaN and infinities
        if not torch.isfinite(torch.stack(torch.aminmax(logits))).all():
            raise ModelError(
                f"{model.name} returns numbers that are not finite: its weights are broken, "
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
    """Load a model and return a segmenter.

    Args:
        name_or_path: a name in `MODELS`, the path of a `.pt2` file, or None for the default model.
            If the default model's weights are not available, the embedded model is loaded instead,
            and the segmenter's `note` says so.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        weights: a state dict to use instead of the published one.
        progress: called with (bytes done, total bytes or None) while weights download.
        size: default input size in pixels; see `Segmenter`.
        sharper: average the input sizes that the model's card lists for sharper outlines.
        exact: see `Segmenter`; so are `precision` and `compiled`.
        precision: see `Segmenter`.
        compiled: see `Segmenter`.

    Raises:
        ModelError, WeightsError, DeviceError: see `load_model` and `Segmenter`; also if `sharper`
            is combined with `size`, or the card lists no sizes for it.
    """
    checked_size(size)
    if sharper and size is not None:
        raise ModelError(f"sharper chooses the sizes itself: leave out size={size}")
    checked_precision(precision, exact=exact)
    name = name_or_path if name_or_path is not None else default_model(device)
    note = ""
    fit_threads()
    try:
        model = load_model(name, device=device, weights=weights, progress=progress)
    except WeightsError as error:
        if name_or_path is not None or weights is not None or not has_embedded():
            raise
        note = f"using the small built-in model, because there are {error}."
        model = load_model(EMBEDDED, device=device)
    if sharper:
        size = sharper_size(model.card)
    return Segmenter(
        model, size=size, note=note, exact=exact, precision=precision, compiled=compiled
    )
