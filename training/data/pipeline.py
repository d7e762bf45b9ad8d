"""Training data of one run: photos, the teachers' outputs, and batches of views."""

import argparse
import os
from dataclasses import replace

import torch
from torch import Tensor

from segmentation.progress import Bar
from training.common import voc_categories
from training.data.augment import Augmentation
from training.data.canvases import load_photos
from training.data.crops import Batch, Views
from training.data.dataset import Sample, find_samples
from training.data.sampling import SHOWN_SHARE, class_shares, drawing_weights
from training.distillation.feature_hints import standardise
from training.distillation.known import misses_prior
from training.distillation.maps import run_teachers
from training.distillation.teacher import Teachers, load_teacher
from training.optim.losses import balance_classes
from training.recipe import SIZE_STEP, check

CANVAS_PER_VIEW = 1.375
"""Shorter side of a stored photo by that of a view: views zoom in up to two times."""

COUNTED_BATCHES, COUNTED_VIEWS = 16, 64
"""Numbers of batches and of their views for estimating the classes' frequencies."""


class Feed:
    """Photos, teachers and views of one run.

    Args:
        options: Parsed by `training.recipe.make_parser`.
        device: For photos, maps, features and the teachers.

    Raises:
        FileNotFoundError: A folder is missing or empty.
        ValueError: Options do not fit together, or the teachers have another number of classes.
    """

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        check(options)
        self.options, self.device = options, device
        self.workers = options.threads or os.cpu_count() or 1
        self.samples = gather_samples(options)
        self.maps: Tensor | None = None
        self.hints: Tensor | None = None
        if options.teacher:
            self._load_teacher_outputs()
        self.size, self.canvas = 0, 0
        self.views: Views | None = None
        self.class_weights: Tensor | None = None

    @property
    def hint_channels(self) -> int:
        """Channels of the teachers' features; 0 without hints."""
        return 0 if self.hints is None else self.hints.shape[1]

    def _load_teacher_outputs(self) -> None:
        """Load the teachers' maps and features; run the teachers on photos that have none."""
        options = self.options
        categories = voc_categories(options.num_classes)  # numbers, unless there are 21
        layers = options.hint or [None] * len(options.teacher)
        teachers = Teachers(
            tuple(
                load_teacher(name, self.device, layer)
                for name, layer in zip(options.teacher, layers, strict=True)
            ),
            tuple(options.teacher_size),
            options.teacher_flip,
            None if categories[0] == "0" else categories,
        )
        bar = Bar("teacher", quiet=options.quiet)
        maps, features, rows = run_teachers(
            teachers,
            self.samples,
            options.cache or options.out,
            num_classes=options.num_classes,
            prior_factor=options.prior_factor,
            device=self.device,
            workers=self.workers,
            progress=bar,
        )
        bar.close()
        self.maps = torch.from_numpy(maps[rows]).to(self.device)
        if features is not None:
            self.hints = standardise(features, rows, self.device)

    def prepare(self, size: int) -> None:
        """Prepare views of `size`; decode the photos again if they are stored at another size."""
        if size == self.size:
            return
        options, self.size = self.options, size
        canvas = options.canvas or round(CANVAS_PER_VIEW * size / SIZE_STEP) * SIZE_STEP
        if canvas != self.canvas:
            self.canvas, self.views = canvas, None
            bar = Bar(f"decode at {canvas} px", quiet=options.quiet)
            photos = load_photos(self.samples, canvas, workers=self.workers, progress=bar)
            bar.close()
            photos = photos.to(self.device)
            self.views = Views(
                photos=photos,
                weights=self._weights(class_shares(photos, self.maps, options.num_classes)),
                num_classes=options.num_classes,
                augmentation=Augmentation(
                    zoom=tuple(options.zoom), rotation=options.turn, cutmix=options.cutmix
                ),
                truth=options.truth,
                seed=options.seed,
                maps=self.maps,
                hints=self.hints,
            )
        if options.balance:
            drawn = [
                self.batch(-1 - i, COUNTED_VIEWS, stride=4, with_hints=False).targets
                for i in range(COUNTED_BATCHES)
            ]
            frequencies = torch.stack([targets.mean((0, 2, 3)) for targets in drawn]).mean(0)
            self.class_weights = balance_classes(frequencies, options.balance)

    def _weights(self, shares: Tensor) -> Tensor:
        """Return how often each photo is drawn, (N,); 0 for photos without any target.

        Args:
            shares: From `class_shares`, (N, num_classes).
        """
        options = self.options
        labelled = torch.tensor([sample.mask is not None for sample in self.samples])
        usable = labelled if self.maps is None else torch.ones_like(labelled)
        missed = [misses_prior(s, row) for s, row in zip(self.samples, shares, strict=True)]
        usable = usable & ~torch.tensor(missed)
        if not bool(usable.any()):
            raise ValueError("no photo has a mask or a teacher's output: give --teacher")
        weights = drawing_weights(
            (shares > SHOWN_SHARE) & usable[:, None],
            labelled,
            boosts=options.boost,
            unlabelled_weight=options.unlabelled_weight,
            rare=options.rare,
        )
        return weights * usable

    def batch(self, step: int, count: int, stride: int, *, with_hints: bool = True) -> Batch:
        """Return the views, targets and hints of a step; see `Views.batch`."""
        if self.views is None:
            raise RuntimeError("prepare(size) comes before batch()")
        return self.views.batch(step, count, self.size, stride, with_hints=with_hints)


def gather_samples(options: argparse.Namespace) -> list[Sample]:
    """Return the photos of all folders; those of `--unlabelled` without their masks."""
    samples = []
    for folder in [*options.data, *options.unlabelled]:
        in_folder = find_samples(
            folder,
            partial_prefixes=options.partial,
            categories=voc_categories(options.num_classes),
            prior=folder in options.prior,
        )
        if folder in options.unlabelled:
            in_folder = [replace(sample, mask=None) for sample in in_folder]
        samples += in_folder
    return samples
