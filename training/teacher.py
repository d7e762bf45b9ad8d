"""What a teacher thinks of every photo: its probabilities, computed once and kept on disk.

A small student sees a photo hundreds of times; asking the teacher each time would cost far more
than the student itself. So the teacher looks at each whole photo once, at the size it knows, and
the photo's random crop cuts the same window out of the teacher's map. Beyer et al. (arXiv
2106.05237) prefer a teacher that sees the very crop: that is `--teacher-view crop`, for machines
with a GPU.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.data import Sample, decode
from training.hints import shrink, tap_teacher, to_bytes
from training.setup import fast_bfloat16

BATCH = 4
SCALE_PHOTOS = 128
"""From about how many photos the features' means and deviations are taken."""


@dataclass(frozen=True)
class Teacher:
    """A network that labels, and what it expects.

    Attributes:
        network: Takes a normalised batch (N, 3, H, W); gives logits or a dict with "out", and with
            `hints` a pair of that and features.
        mean: Mean of each channel, pixels in [0, 1].
        std: Deviation of each channel.
        size: Side of the square it looks at.
        key: Tells this teacher from others, for the file of its opinions.
        hints: Whether the network gives features too.
    """

    network: Callable[[Tensor], Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    key: str
    hints: bool = False

    @torch.no_grad()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """Class probabilities (N, C, h, w) float32 of pixels (N, 3, H, W) in [0, 1]."""
        return self.look(pixels)[0]

    @torch.no_grad()
    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same, and with `hints` features (N, F, h', w') float32, else None."""
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
        features = shrink(features.float()) if features is not None else None
        return logits.float().softmax(1), features


def load_teacher(name: str, device: torch.device, size: int, hint: str | None = None) -> Teacher:
    """Load a teacher by a model's name or an exported program's path.

    Args:
        name: What `segmentation.models.load_model` understands; may be a `.pt2` with its card.
        device: Where it runs.
        size: Side of the square it looks at.
        hint: Layer whose features are hints; see `training.hints.tap_teacher`.
    """
    from segmentation.models import load_model  # heavy, and a run without a teacher needs it not

    model = load_model(name, device=device)
    path = Path(name)
    key = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else model.card.name
    network = tap_teacher(model.network, hint) if hint else model.network
    key += f"-{hint}" if hint else ""
    mean, std = tuple(model.card.mean), tuple(model.card.std)
    return Teacher(network, mean, std, size, key, hints=bool(hint))


class TeacherMaps:
    """The teacher's probabilities for a list of photos, in files that can be taken up again.

    Attributes:
        maps: (N, C, h, w) uint8, probability x 255, mapped from disk.
        hints: (N, F, h', w') uint8, standardised features, or None.
        done: (N,) uint8, 1 where the map is there.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        names: list[str],
        shape: tuple[int, ...],
        hint_shape: tuple[int, ...] | None = None,
    ) -> None:
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
        stem = folder / f"teacher-{key}-{digest}-{shape[-1]}"
        folder.mkdir(parents=True, exist_ok=True)
        self.maps = _mapped(stem.with_suffix(".maps.npy"), (len(names), *shape))
        self.hints = None
        if hint_shape:
            self.hints = _mapped(stem.with_suffix(".hints.npy"), (len(names), *hint_shape))
        self.scale_file = stem.with_suffix(".scale.npy")
        self.done = _mapped(stem.with_suffix(".done.npy"), (len(names),))

    def fill(
        self,
        teacher: Teacher,
        samples: list[Sample],
        *,
        device: torch.device,
        order: list[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Ask the teacher about the photos it has not seen yet.

        Args:
            teacher: The teacher.
            samples: The photos, in the order of the names.
            device: Where the teacher runs.
            order: Indices in the order in which to ask.
            progress: Called with (done, total) after each batch.
        """
        todo = [i for i in order or range(len(samples)) if not self.done[i]]
        scale = self._scale(teacher, samples, device) if todo and self.hints is not None else None
        for start in range(0, len(todo), BATCH):
            chosen = todo[start : start + BATCH]
            pixels = _pixels([samples[i] for i in chosen], teacher.size, device)
            probabilities, features = teacher.look(pixels)
            if len(probabilities) != len(chosen):  # NumPy would give one map to all of them
                raise ValueError(
                    f"the teacher answers {len(chosen)} photos with {len(probabilities)} maps"
                )
            self.maps[chosen] = (probabilities * 255).round().byte().cpu().numpy()
            if scale is not None:
                self.hints[chosen] = to_bytes(features, *scale).cpu().numpy()
            self.done[chosen] = 1
            if progress:
                progress(start + len(chosen), len(todo))

    def _scale(self, teacher: Teacher, samples: list[Sample], device: torch.device) -> Tensor:
        """Mean and deviation of each feature (2, F), from photos all over the list, and kept."""
        if not self.scale_file.is_file():
            some = samples[:: max(1, len(samples) // SCALE_PHOTOS)]
            looks = [teacher.look(_pixels([s], teacher.size, device))[1] for s in some]
            values = torch.cat(looks).transpose(0, 1).flatten(1)  # (F, photos * h' * w')
            deviation = values.std(1).clamp(min=1e-6)
            np.save(self.scale_file, torch.stack([values.mean(1), deviation]).cpu().numpy())
        return torch.from_numpy(np.load(self.scale_file)).to(device)


def _pixels(samples: Sequence[Sample], size: int, device: torch.device) -> Tensor:
    """Whole photos squeezed into squares: (N, 3, size, size) float32 in [0, 1]."""
    canvases = np.stack([decode(sample, size)[0] for sample in samples])
    return torch.from_numpy(canvases).permute(0, 3, 1, 2).to(device).float() / 255


def map_shapes(
    teacher: Teacher, device: torch.device
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """(channels, height, width) of the teacher's map of one photo, and of its hints."""
    zeros = torch.zeros(1, 3, teacher.size, teacher.size, device=device)
    probabilities, features = teacher.look(zeros)
    shape = tuple(probabilities.shape[1:])
    return shape, None if features is None else tuple(features.shape[1:])


def corners_aligned(size: int, side: int) -> bool:
    """Whether a map of `side` cells over `size` pixels has its outer cells on the outer pixels.

    TensorFlow's networks keep sides of 8 k + 1 pixels for k + 1 cells: a cell sits on each eighth
    pixel.
    """
    return side > 1 and (size - 1) % (side - 1) == 0


def sample_maps(maps: Tensor, grid: Tensor, *, aligned: bool) -> Tensor:
    """Cut the crops' windows out of the teacher's maps.

    Args:
        maps: (N, C, h, w) uint8.
        grid: (N, H, W, 2) in [-1, 1], where the crop's pixels lie in the photo.
        aligned: Whether the maps' corners are aligned.

    Returns:
        Probabilities (N, C, H, W) float32 that add up to one.
    """
    values = F.grid_sample(
        maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=aligned
    )
    return values / values.sum(1, keepdim=True).clamp(min=1e-6)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array on disk, made of zeros if it is not there."""
    if path.is_file():
        array = np.load(path, mmap_mode="r+")
        if array.shape == shape:
            return array
    return np.lib.format.open_memmap(path, "w+", np.uint8, shape)
