"""Teachers: published networks whose outputs for whole photos a student learns.

One or several teachers run on a photo with its aspect ratio, at one or several sizes and also
mirrored, and their probabilities are averaged. Each network's output has its own grid; every output
is resampled to one grid that spans the photo from edge to edge, so that the cells of different
teachers, sizes and conventions coincide.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.common import fast_bfloat16
from training.distillation.feature_hints import with_features

SIDE_STEP = 16
"""A photo's longer side differs from the teacher's size by a multiple of this. With 8 k + 1 or
16 k + 1 for a size both sides suit TensorFlow's aligned corners, and few shapes make large batches.
"""

MAP_STRIDE = 8
"""Pixels of a teacher's largest size for each cell of the stored maps: our finest stride."""

HINT_CELLS = 14
"""Cells of the stored features along the shorter side: as many as a student has in 224 px."""

MAP_ASPECT = 4 / 3
"""Width by height of the stored grids, the most common aspect ratio; they span any photo."""

MIN_SIZE = 33


@dataclass(frozen=True)
class Teacher:
    """A teacher's network and its preprocessing.

    Attributes:
        network: Maps a normalised batch (N, 3, H, W) to logits or a dict with "out", and with
            `hints` to a pair of that and features.
        mean: Mean of each channel, pixels in [0, 1].
        std: Deviation of each channel.
        key: Hash of the weights and the preprocessing.
        hints: Whether the network returns features too.
        fit: Maps (height, width) of a photo to the nearest that the network accepts.
        categories: Class names by index, if a card has them.
    """

    network: Callable[[Tensor], Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    key: str
    hints: bool = False
    fit: Callable[[tuple[int, int]], tuple[int, int]] = lambda sides: sides
    categories: tuple[str, ...] = ()

    @torch.no_grad()
    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (N, C, h, w) of pixels (N, 3, H, W) in [0, 1], and features (N, F, h', w').

        Raises:
            ValueError: The network returns another number of maps than photos.
        """
        mean, std = (
            torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std)
        )
        batch = (pixels - mean) / std
        with torch.autocast(
            pixels.device.type, torch.bfloat16, enabled=fast_bfloat16(pixels.device)
        ):
            out = self.network(batch)
        out, features = out if self.hints else (out, None)
        logits = out["out"] if isinstance(out, dict) else out
        if len(logits) != len(pixels):
            raise ValueError(
                f"the teacher returned {len(logits)} maps for {len(pixels)} photos: "
                "export it with a dynamic batch"
            )
        return logits.float(), None if features is None else features.float()


def load_teacher(name: str, device: torch.device, hint: str | None = None) -> Teacher:
    """Load a teacher by a model's name or an exported program's path.

    Args:
        name: As for `load_model`; may be a `.pt2` with its card.
        device: Where it runs.
        hint: Layer whose features are hints; see `feature_hints.with_features`.
    """
    from segmentation.inference.preprocessing import network_size
    from segmentation.models.loader import load_model  # slow; not needed without a teacher

    model = load_model(name, device=device)
    key = hashlib.sha256(repr((model.card.mean, model.card.std, hint)).encode())
    if Path(name).is_file():
        key.update(Path(name).read_bytes())
    else:
        for entry, value in model.network.state_dict().items():
            key.update(entry.encode() + value.cpu().contiguous().numpy().tobytes())
    network = with_features(model.network, hint) if hint else model.network
    mean, std = tuple(model.card.mean), tuple(model.card.std)
    return Teacher(
        network,
        mean,
        std,
        key.hexdigest(),
        bool(hint),
        lambda sides: network_size(model, sides),
        tuple(model.card.categories),
    )


@dataclass(frozen=True)
class Teachers:
    """Teachers whose outputs are averaged.

    Attributes:
        members: The teachers.
        sizes: Shorter sides of their inputs; features come from the first.
        flip: Whether each also runs on the mirrored photo.
        categories: The student's class names by index; None accepts any that the teachers share.

    Raises:
        ValueError: A teacher's card has other classes, or the same in another order.
    """

    members: tuple[Teacher, ...]
    sizes: tuple[int, ...]
    flip: bool = False
    categories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        named = [member.categories for member in self.members if member.categories]
        wanted = self.categories or (named[0] if named else ())
        for names in named:
            if len(names) == len(wanted) and names != wanted:
                i = next(i for i, name in enumerate(names) if name != wanted[i])
                raise ValueError(
                    f"class {i} is {names[i]!r} for one teacher and {wanted[i]!r} for another or "
                    "the student: export it with the classes in that order"
                )

    @property
    def key(self) -> str:
        """Hash of the teachers and their options."""
        parts = [*(member.key for member in self.members), self.sizes, self.flip]
        parts += [self.grid, HINT_CELLS, MAP_ASPECT, SIDE_STEP]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a stored map; exchanged for a portrait photo."""
        return _grid((max(self.sizes) - 1) // MAP_STRIDE + 1)

    def plan(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return the sides of each teacher's input for a photo, at each size."""
        sides = [teacher_sides(height, width, size) for size in self.sizes]
        return tuple(member.fit(pair) for member in self.members for pair in sides)

    def predict(self, photos: Sequence[Tensor], transposed: bool) -> tuple[Tensor, Tensor | None]:
        """Return the averaged outputs for photos that have the same plan.

        Args:
            photos: Pixels (3, H, W) uint8.
            transposed: The photos are higher than wide; the result has rows and columns exchanged.

        Returns:
            Probabilities (N, C, rows, columns) float32 of the whole photos, and with hints the
            teachers' features (N, F, rows', columns'), concatenated.

        Raises:
            ValueError: The teachers have different numbers of classes.
        """
        grid, hint_grid = (g[::-1] if transposed else g for g in (self.grid, _grid(HINT_CELLS)))
        outputs, hint_parts = [], []
        for i, sides in enumerate(self.plan(*photos[0].shape[1:])):
            member = self.members[i // len(self.sizes)]
            pixels = torch.cat([_resized(photo, sides) for photo in photos])
            for mirrored in (False, True) if self.flip else (False,):
                logits, features = member.predict(pixels.flip(3) if mirrored else pixels)
                logits = logits.flip(3) if mirrored else logits
                outputs.append(resample(logits, sides, grid).softmax(1))
                if features is not None and not mirrored and i % len(self.sizes) == 0:
                    hint_parts.append(resample(features, sides, hint_grid))
        classes = sorted({output.shape[1] for output in outputs})
        if len(classes) > 1:
            raise ValueError(
                f"the teachers have different numbers of classes, {classes}: "
                "their probabilities cannot be averaged"
            )
        probabilities = torch.stack(outputs).mean(0)
        hints = torch.cat(hint_parts, 1) if hint_parts else None
        if transposed:
            probabilities = probabilities.mT
            hints = None if hints is None else hints.mT
        return probabilities, hints


def _grid(short: int) -> tuple[int, int]:
    return short, round(short * MAP_ASPECT)


def _resized(photo: Tensor, sides: tuple[int, int]) -> Tensor:
    """Resize a photo (3, H, W) uint8: (1, 3, height, width) float32 in [0, 1]."""
    return F.interpolate(
        photo[None].float() / 255, sides, mode="bilinear", antialias=True, align_corners=False
    )


def teacher_sides(height: int, width: int, size: int) -> tuple[int, int]:
    """Return height and width of a photo as input: shorter side `size`, same aspect ratio.

    The longer side is rounded to `size` and a multiple of 16 pixels.
    """
    longer = size * max(height, width) / min(height, width)
    longer = size + SIDE_STEP * round((longer - size) / SIDE_STEP)
    return (size, longer) if height <= width else (longer, size)


def corners_aligned(size: int, cells: int) -> bool:
    """Return whether a map of `cells` over `size` pixels has its outer cells on the outer pixels.

    TensorFlow's networks map sides of 8 k + 1 pixels to k + 1 cells, one on each eighth pixel.
    Steps are powers of two, so 8 cells over 64 pixels (9 between the outer ones) are not aligned.
    """
    if cells < 2 or (size - 1) % (cells - 1):
        return False
    step = (size - 1) // (cells - 1)
    return step & (step - 1) == 0


def resample(values: Tensor, sides: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Resample a network's map of a photo to a grid that spans the photo from edge to edge.

    Bilinear between the map's cells; for a coarser grid, a triangle filter as wide as its cells.

    Args:
        values: (N, C, h, w), over `sides` pixels, with aligned corners or without.
        sides: Height and width of the network's input in pixels.
        grid: Rows and columns of the result; cell (i, j) is centred on (i + 0.5) / rows of the
            photo's height, (j + 0.5) / columns of its width.

    Returns:
        (N, C, rows, columns).
    """
    down, across = (
        _weights(cells, side, count).to(values.device)
        for cells, side, count in zip(values.shape[2:], sides, grid, strict=True)
    )
    return torch.einsum("ih,nchw,jw->ncij", down, values, across)


@lru_cache(maxsize=256)
def _weights(cells: int, side: int, count: int) -> Tensor:
    """Return the weights of `cells` cells in each of `count` cells, (count, cells) float32."""
    index = torch.arange(cells, dtype=torch.float64)
    if corners_aligned(side, cells):
        spacing = (side - 1) / (cells - 1) / side
        places = index * spacing + 0.5 / side  # the centre of the cell's pixel
    else:
        spacing = 1 / cells
        places = (index + 0.5) * spacing
    targets = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    distance = (targets[:, None] - places).abs() / max(spacing, 1 / count)
    weights = (1 - distance).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()
