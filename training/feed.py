"""What a run learns from: the photos, the teacher, and batches of views at the present size."""

import argparse
import dataclasses

import torch
from torch import Tensor

from segmentation.progress import Bar
from training.augment import Augmentation
from training.data import Photos, Sample, find_samples, load_photos
from training.losses import balance_classes
from training.recipe import SIZE_STEP
from training.teacher import Teacher, TeacherMaps, corners_aligned, load_teacher, map_shapes
from training.views import Batch, Views, classes_shown, drawing_weights

CANVAS_PER_VIEW = 1.375
"""Side of a canvas by that of a view: a view covers a part of it, so both have about its detail."""

COUNTED_BATCHES, COUNTED_VIEWS = 16, 64
"""From how many batches of how many views the classes' frequencies are taken."""


class Feed:
    """Photos, teacher and views of one run.

    Args:
        options: What `training.recipe.make_parser` parsed.
        device: Where photos lie and the teacher runs.

    Raises:
        FileNotFoundError: A folder is missing or empty.
        ValueError: The teacher tells another number of classes apart.
    """

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self.options, self.device = options, device
        self.samples: list[Sample] = find_samples(options.data, partial_prefixes=options.partial)
        if options.unlabelled:
            self.samples += find_samples(options.unlabelled)
        if options.hint and not (options.teacher and options.teacher_view == "photo"):
            raise ValueError("--hint needs --teacher, and --teacher-view photo")
        self.teacher: Teacher | None = None
        self.maps: TeacherMaps | None = None
        if options.teacher:
            self.teacher = load_teacher(options.teacher, device, options.teacher_size, options.hint)
            if options.teacher_view == "photo":
                self.maps = self._ask(self.teacher)
        self.size = 0
        self.views: Views | None = None
        self.class_weights: Tensor | None = None

    @property
    def hint_channels(self) -> int:
        """Channels of the teacher's features; 0 without hints."""
        return self.maps.hints.shape[1] if self.maps and self.maps.hints is not None else 0

    def _ask(self, teacher: Teacher) -> TeacherMaps:
        """The teacher's maps, asking about photos that it has not seen in an earlier run."""
        shape, hint_shape = map_shapes(teacher, self.device)
        if shape[0] != self.options.num_classes:
            raise ValueError(
                f"the teacher tells {shape[0]} classes apart, "
                f"the student {self.options.num_classes}: give --num-classes"
            )
        names = [sample.name for sample in self.samples]
        maps = TeacherMaps(
            self.options.cache or self.options.out, teacher.key, names, shape, hint_shape
        )
        bar = Bar("teacher", quiet=self.options.quiet)
        maps.fill(teacher, self.samples, device=self.device, progress=bar)
        bar.close()
        return maps

    def prepare(self, size: int) -> None:
        """Decode the photos for views of `size`, unless they are."""
        if size == self.size:
            return
        self.size, self.views = size, None
        side = round(CANVAS_PER_VIEW * size / SIZE_STEP) * SIZE_STEP
        bar = Bar(f"decode at {side} px", quiet=self.options.quiet)
        photos = load_photos(self.samples, side, progress=bar).to(self.device)
        bar.close()
        self.views = self._make_views(photos, size)
        if self.options.balance:
            drawn = [
                self.batch(-1 - i, COUNTED_VIEWS, stride=4)[1].mean((0, 2, 3))
                for i in range(COUNTED_BATCHES)
            ]
            frequencies = torch.stack(drawn).mean(0)
            self.class_weights = balance_classes(frequencies, self.options.balance)

    def _make_views(self, photos: Photos, size: int) -> Views:
        """Views of decoded photos, with the teacher's maps, or the teacher at twice the size."""
        options = self.options
        maps = self.maps.maps if self.maps else None
        hints = self.maps.hints if self.maps else None
        teacher = None
        if self.teacher is not None and maps is None:
            teacher = dataclasses.replace(self.teacher, size=2 * size)
        shown = classes_shown(photos, maps, options.num_classes)
        return Views(
            photos=photos,
            weights=drawing_weights(
                shown, photos.labelled, options.boost, options.unlabelled_weight
            ),
            num_classes=options.num_classes,
            augmentation=Augmentation(area=(options.least_area, 1.0), cutmix=options.cutmix),
            truth=options.truth,
            seed=options.seed,
            maps=maps,
            maps_aligned=maps is not None and corners_aligned(options.teacher_size, maps.shape[-1]),
            hints=hints,
            hints_aligned=hints is not None
            and corners_aligned(options.teacher_size, hints.shape[-1]),
            teacher=teacher,
        )

    def batch(self, step: int, count: int, stride: int) -> Batch:
        """The views, targets and hints of a step; see `Views.batch`."""
        if self.views is None:
            raise RuntimeError("prepare(size) comes before batch()")
        return self.views.batch(step, count, self.size, stride)
