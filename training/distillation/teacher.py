"""Teachers: published networks whose opinions of whole photos a student learns.

One or several teachers look at a photo in its true proportions, at one or several sizes and also
mirrored, and their probabilities are averaged. Each network answers on a grid of its own; every
answer is resampled to one grid that spans the photo from edge to edge, so that grids of different
teachers, sizes and conventions meet cell by cell.
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
from training.distillation.feature_hints import tap_teacher

SIDE_STEP = 16
"""A photo's longer side differs from the teacher's size by a multiple of this. With 8 k + 1 or
16 k + 1 for a size both sides keep TensorFlow's corners, and few shapes make large batches."""

MAP_STRIDE = 8
"""Pixels of a teacher's largest size for each cell of the kept maps: the finest stride of ours."""

HINT_CELLS = 14
"""Cells of the kept features along the shorter side: as many as a student sees in 224 px."""

MAP_ASPECT = 4 / 3
"""Width by height of the kept grids. They span photos of any proportions; most have these."""

LEAST_SIZE = 33


@dataclass(frozen=True)
class Teacher:
    """A network that labels, and what it expects.

    Attributes:
        network: Takes a normalised batch (N, 3, H, W); gives logits or a dict with "out", and with
            `hints` a pair of that and features.
        mean: Mean of each channel, pixels in [0, 1].
        std: Deviation of each channel.
        key: Tells these weights from others.
        hints: Whether the network gives features too.
        fit: Turns the (height, width) of a photo into the nearest that the network takes.
        categories: Class names by index, where a card tells them.
    """

    network: Callable[[Tensor], Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    key: str
    hints: bool = False
    fit: Callable[[tuple[int, int]], tuple[int, int]] = lambda sides: sides
    categories: tuple[str, ...] = ()

    @torch.no_grad()
    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (N, C, h, w) of pixels (N, 3, H, W) in [0, 1], and features (N, F, h', w').

        Raises:
            ValueError: The network gives another number of maps than it got photos.
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
                f"the teacher answers {len(pixels)} photos with {len(logits)} maps: "
                "export it with a free batch"
            )
        return logits.float(), None if features is None else features.float()


def load_teacher(name: str, device: torch.device, hint: str | None = None) -> Teacher:
    """Load a teacher by a model's name or an exported program's path.

    Args:
        name: What `load_model` takes; may be a `.pt2` with its card.
        device: Where it runs.
        hint: Layer whose features are hints; see `training.distillation.feature_hints.tap_teacher`.
    """
    from segmentation.inference.preprocessing import network_size
    from segmentation.models.loader import (
        load_model,  # heavy, and a run without a teacher needs it not
    )

    model = load_model(name, device=device)
    key = hashlib.sha256(repr((model.card.mean, model.card.std, hint)).encode())
    if Path(name).is_file():
        key.update(Path(name).read_bytes())
    else:
        for entry, value in model.network.state_dict().items():
            key.update(entry.encode() + value.cpu().contiguous().numpy().tobytes())
    network = tap_teacher(model.network, hint) if hint else model.network
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
    """Teachers that are asked together.

    Attributes:
        members: The teachers.
        sizes: Shorter sides at which each looks at a photo; features are taken at the first.
        flip: Whether each also looks at the mirrored photo.
        categories: Class names by index that the student learns; None means any that the teachers
            agree on.

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
        """Tells these teachers and what they are shown from others."""
        parts = [*(member.key for member in self.members), self.sizes, self.flip]
        parts += [self.grid, HINT_CELLS, MAP_ASPECT, SIDE_STEP]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a kept map; of a photo that is higher than wide, exchanged."""
        return _grid((max(self.sizes) - 1) // MAP_STRIDE + 1)

    def plan(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """The sides at which each teacher sees a photo, at each size."""
        sides = [teacher_sides(height, width, size) for size in self.sizes]
        return tuple(member.fit(pair) for member in self.members for pair in sides)

    def ask(self, photos: Sequence[Tensor], turned: bool) -> tuple[Tensor, Tensor | None]:
        """What the teachers think of photos that have the same plan.

        Args:
            photos: Pixels (3, H, W) uint8.
            turned: The photos are higher than wide: rows and columns are exchanged in the answer.

        Returns:
            Probabilities (N, C, rows, columns) float32 of the whole photos, and with hints the
            teachers' features (N, F, rows', columns'), one teacher's after the other's.

        Raises:
            ValueError: The teachers tell different numbers of classes apart.
        """
        grid, hint_grid = (g[::-1] if turned else g for g in (self.grid, _grid(HINT_CELLS)))
        looks, told = [], []
        for i, sides in enumerate(self.plan(*photos[0].shape[1:])):
            member = self.members[i // len(self.sizes)]
            pixels = torch.cat([_resized(photo, sides) for photo in photos])
            for mirrored in (False, True) if self.flip else (False,):
                logits, features = member.look(pixels.flip(3) if mirrored else pixels)
                logits = logits.flip(3) if mirrored else logits
                looks.append(resample(logits, sides, grid).softmax(1))
                if features is not None and not mirrored and i % len(self.sizes) == 0:
                    told.append(resample(features, sides, hint_grid))
        classes = sorted({look.shape[1] for look in looks})
        if len(classes) > 1:
            raise ValueError(
                f"the teachers tell different numbers of classes apart, {classes}: "
                "their probabilities cannot be averaged"
            )
        probabilities = torch.stack(looks).mean(0)
        hints = torch.cat(told, 1) if told else None
        if turned:
            probabilities = probabilities.mT
            hints = None if hints is None else hints.mT
        return probabilities, hints


def _grid(short: int) -> tuple[int, int]:
    return short, round(short * MAP_ASPECT)


def _resized(photo: Tensor, sides: tuple[int, int]) -> Tensor:
    """A photo (3, H, W) uint8 at other sides: (1, 3, height, width) float32 in [0, 1]."""
    return F.interpolate(
        photo[None].float() / 255, sides, mode="bilinear", antialias=True, align_corners=False
    )


def teacher_sides(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width at which a photo is shown: shorter side `size`, proportions kept.

    The longer side is rounded to `size` and a multiple of 16 pixels.
    """
    longer = size * max(height, width) / min(height, width)
    longer = size + SIDE_STEP * round((longer - size) / SIDE_STEP)
    return (size, longer) if height <= width else (longer, size)


def corners_aligned(size: int, cells: int) -> bool:
    """Whether a map of `cells` over `size` pixels has its outer cells on the outer pixels.

    TensorFlow's networks keep sides of 8 k + 1 pixels for k + 1 cells: a cell sits on each eighth
    pixel. Steps are powers of two; 8 cells over 64 pixels (9 between the outer ones) are not so.
    """
    if cells < 2 or (size - 1) % (cells - 1):
        return False
    step = (size - 1) // (cells - 1)
    return step & (step - 1) == 0


def resample(values: Tensor, sides: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Bring a network's map of a photo to a grid that spans the photo from edge to edge.

    Bilinear between the map's cells; where the grid is coarser, a triangle as wide as its cells.

    Args:
        values: (N, C, h, w), over `sides` pixels, with aligned corners or without.
        sides: Height and width in pixels of what the network saw.
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
    """How much each of `cells` counts in each of `count` cells, (count, cells) float32."""
    index = torch.arange(cells, dtype=torch.float64)
    if corners_aligned(side, cells):
        spacing = (side - 1) / (cells - 1) / side
        places = index * spacing + 0.5 / side  # the centre of the pixel that the cell sits on
    else:
        spacing = 1 / cells
        places = (index + 0.5) * spacing
    wanted = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    distance = (wanted[:, None] - places).abs() / max(spacing, 1 / count)
    weights = (1 - distance).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()
