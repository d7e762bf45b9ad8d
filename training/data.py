"""Photos and masks of a folder in VOC layout, decoded once into memory.

A folder holds `JPEGImages/NAME.jpg` and, where the photos have ground truth,
`SegmentationClass/NAME.png` (indexed, 255 ignored). Every photo becomes a square canvas of the
same side, so that a batch of crops is one resampling, on any device; its true shape is kept beside
it, so that a crop keeps its proportions.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IGNORE_INDEX = 255
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Sample:
    """One photo on disk.

    Attributes:
        photo: Its file.
        mask: The file of its ground truth, if it has one.
        partial: Only one class is marked: what is labelled background may be anything.
    """

    photo: Path
    mask: Path | None = None
    partial: bool = False

    @property
    def name(self) -> str:
        """The photo's file name without its ending."""
        return self.photo.stem


@dataclass(frozen=True)
class Photos:
    """Decoded photos, one canvas each.

    Attributes:
        names: File names without ending, (N,).
        canvases: Pixels (N, 3, side, side) uint8.
        masks: Class indices (N, side, side) uint8, 255 where nothing is known.
        aspects: True width / height of each photo, (N,) float32.
        labelled: Which photos have ground truth, (N,) bool.
    """

    names: tuple[str, ...]
    canvases: Tensor
    masks: Tensor
    aspects: Tensor
    labelled: Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def side(self) -> int:
        """Side of a canvas in pixels."""
        return self.canvases.shape[-1]

    def to(self, device: torch.device) -> "Photos":
        """The same photos on another device."""
        return replace(
            self,
            canvases=self.canvases.to(device),
            masks=self.masks.to(device),
            aspects=self.aspects.to(device),
            labelled=self.labelled.to(device),
        )


def find_samples(folder: Path, *, partial_prefixes: Iterable[str] = ()) -> list[Sample]:
    """List the photos of a folder in VOC layout, sorted by name.

    Args:
        folder: Holds `JPEGImages` and, unless the photos are unlabelled, `SegmentationClass`.
        partial_prefixes: Beginnings of the names of photos in which only one class is marked.

    Raises:
        FileNotFoundError: There is no such folder, or no photo in it.
    """
    photos = Path(folder) / "JPEGImages"
    if not photos.is_dir():
        raise FileNotFoundError(f"{photos} is no folder: photos in VOC layout lie in JPEGImages")
    masks = Path(folder) / "SegmentationClass"
    prefixes = tuple(partial_prefixes)
    samples = []
    for photo in sorted(p for p in photos.iterdir() if p.suffix.lower() in PHOTO_ENDINGS):
        mask = masks / f"{photo.stem}.png"
        partial = bool(prefixes) and photo.stem.startswith(prefixes)
        samples.append(Sample(photo, mask if mask.is_file() else None, partial))
    if not samples:
        raise FileNotFoundError(f"{photos} holds no photo ({', '.join(PHOTO_ENDINGS)})")
    return samples


def read_mask(path: Path) -> np.ndarray:
    """Read an indexed mask: class indices (H, W) uint8.

    Raises:
        ValueError: The file holds colours instead of indices.
    """
    with Image.open(path) as image:
        if image.mode not in ("P", "L"):
            raise ValueError(f"{path} is {image.mode}: a mask is an indexed or grey PNG")
        return np.array(image, dtype=np.uint8)


def decode(sample: Sample, side: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Decode one photo to a canvas.

    Returns:
        Pixels (side, side, 3) uint8, class indices (side, side) uint8, and true width / height.
    """
    with Image.open(sample.photo) as image:
        aspect = image.width / image.height
        image.draft("RGB", (side, side))
        pixels = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
    if sample.mask is None:
        return pixels, np.full((side, side), IGNORE_INDEX, np.uint8), aspect
    mask = Image.fromarray(read_mask(sample.mask)).resize((side, side), Image.Resampling.NEAREST)
    labels = np.array(mask)
    if sample.partial:
        labels[labels == 0] = IGNORE_INDEX
    return pixels, labels, aspect


def load_photos(
    samples: Sequence[Sample],
    side: int,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Photos:
    """Decode photos into canvases of `side` x `side` pixels.

    Args:
        samples: What `find_samples` found.
        side: Side of the canvases; about 1.4 times the crop's side wastes nothing.
        workers: Threads that decode.
        progress: Called with (done, total) after each photo.
    """
    total = len(samples)
    canvases = torch.empty(total, 3, side, side, dtype=torch.uint8)
    masks = torch.empty(total, side, side, dtype=torch.uint8)
    aspects = torch.empty(total)
    with ThreadPoolExecutor(workers) as pool:
        decoded = pool.map(lambda sample: decode(sample, side), samples)
        for i, (pixels, labels, aspect) in enumerate(decoded):
            canvases[i] = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
            masks[i] = torch.from_numpy(labels)
            aspects[i] = aspect
            if progress:
                progress(i + 1, total)
    labelled = torch.tensor([sample.mask is not None for sample in samples])
    return Photos(tuple(s.name for s in samples), canvases, masks, aspects, labelled)
