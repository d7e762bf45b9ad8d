"""Settings of a batch run, in a form that a later run can compare."""

import argparse
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segmentation.errors import ImageError, WeightsError
from segmentation.inference.model_runner import PRECISION_TRIALS
from segmentation.inference.segmenter import Segmenter, load
from segmentation.models.loader import is_program
from segmentation.models.registry import find_local_weights


@dataclass(frozen=True)
class BatchSettings:
    """The requested settings of a batch, with the selected model and precision after `settle`.

    Attributes:
        model: a name, or the path of a `.pt2` file; None for the default model.
        device: as for `load`; so are `weights`, `size`, `exact` and `precision`.
        weights: a state dict instead of the published one.
        size: shorter side of the network's input in pixels; None for the model's own.
        sharper: as for `load`.
        exact: run the published network unchanged.
        precision: as requested, possibly "auto".
        palette: a name in `PALETTES`; None for the model's own.
        alpha: opacity of the overlay, in [0, 1].
        name: the model's name on its card; empty until settled.
        digest: SHA-256 of the model's files; empty until settled.
        computed: the precision in use, never "auto"; empty until settled.
    """

    model: str | None
    device: str = "auto"
    weights: str | None = None
    size: int | None = None
    sharper: bool = False
    exact: bool = False
    precision: str = "float32"
    palette: str | None = None
    alpha: float = 0.5
    name: str = ""
    digest: str = ""
    computed: str = ""

    @classmethod
    def of(cls, options: argparse.Namespace) -> "BatchSettings":
        """Return the settings from a command's options."""
        names = "model device weights size sharper exact precision palette alpha"
        return cls(**{name: getattr(options, name) for name in names.split()})

    def record(self) -> dict[str, Any]:
        """Return the values that must match for a labelled photo to count as done."""
        return {
            "model": self.name,
            "sha256": self.digest,
            "size": "sharper" if self.sharper else self.size,
            "precision": self.precision,
            "exact": self.exact,
            "palette": self.palette or "model",
            "alpha": self.alpha,
        }


def settle(settings: BatchSettings) -> tuple[BatchSettings, Segmenter]:
    """Load the model once, and fix the settings for all workers.

    Returns:
        The settings with absolute paths and full names, and the segmenter that they describe. If
        precision is "auto", `settle_precision` decides it from photos.

    Raises:
        ModelError, WeightsError, DeviceError: see `load`.
    """
    segmenter = load_segmenter(settings, settings.precision)
    model = settings.model
    if model is not None and is_program(model):
        model = os.path.abspath(model)
    else:
        model = segmenter.model.name  # the default model's, or the fallback's
    weights = settings.weights and os.path.abspath(os.path.expanduser(settings.weights))
    settled = replace(settings, model=model, weights=weights, name=segmenter.model.name)
    return replace(settled, digest=digest(settled), computed=segmenter.precision), segmenter


def settle_precision(
    settings: BatchSettings, segmenter: Segmenter, photos: Iterable[Path]
) -> tuple[BatchSettings, Segmenter]:
    """Decide precision "auto" from the first photos, so that all use the same one.

    Args:
        settings: from `settle`.
        segmenter: from `settle`.
        photos: paths, in an order independent of the workers.

    Returns:
        Settings with the final value of `computed`, and a segmenter that uses it.
    """
    if settings.precision != "auto" or settings.computed == "float32":
        return settings, segmenter
    tried = 0
    for photo in photos:
        try:
            segmenter.predict(photo)
        except ImageError:
            continue
        tried += 1
        if tried == PRECISION_TRIALS:
            break
    settings = replace(settings, computed=segmenter.precision)
    decided = Segmenter(
        segmenter.model, size=segmenter.size, exact=settings.exact, precision=settings.computed
    )
    return settings, decided


def load_segmenter(settings: BatchSettings, precision: str) -> Segmenter:
    """Load the segmenter of these settings; see `load`."""
    return load(
        settings.model,
        device=settings.device,
        weights=settings.weights,
        size=settings.size,
        sharper=settings.sharper,
        exact=settings.exact,
        precision=precision,
    )


def digest(settings: BatchSettings) -> str:
    """Return the SHA-256 of a model's files.

    Raises:
        WeightsError: the files cannot be read.
    """
    if is_program(settings.model):
        files = [Path(settings.model)]
    else:
        weights = Path(settings.weights) if settings.weights else find_local_weights(settings.model)
        if weights is None:
            raise WeightsError(
                f"the weights of {settings.model} were removed: run the command again"
            )
        files = [weights, weights.with_suffix(".json")]  # its card, if there is one
    combined = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                combined.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError:
            if path is files[0]:
                raise WeightsError(f"{path} was removed: run the command again") from None
        except OSError as error:
            raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    return combined.hexdigest()
