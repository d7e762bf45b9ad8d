"""Photos, masks and class lists of a folder in VOC layout.

A folder has `JPEGImages/NAME.jpg` and, if the photos have ground truth,
`SegmentationClass/NAME.png` (indexed, 255 ignored). `classes.json` may list the classes in a
photo: `{"NAME": "bus", "OTHER": ["person", "bicycle"]}`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IGNORE_INDEX = 255
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")
CLASS_LISTS = "classes.json"


@dataclass(frozen=True)
class Sample:
    """One photo on disk.

    Attributes:
        photo: Its file.
        mask: The file of its ground truth, if it has one.
        partial: Only one class is marked, so pixels labelled background may have any class.
        classes: Class indices that `classes.json` lists for it, sorted, or None.
        prior: The listed classes are likely, but others are possible.
    """

    photo: Path
    mask: Path | None = None
    partial: bool = False
    classes: tuple[int, ...] | None = None
    prior: bool = False

    @property
    def name(self) -> str:
        """The photo's file name without its ending."""
        return self.photo.stem


def find_samples(
    folder: Path,
    *,
    partial_prefixes: Iterable[str] = (),
    categories: Sequence[str] | None = None,
    prior: bool = False,
) -> list[Sample]:
    """List the photos of a folder in VOC layout, sorted by name.

    Args:
        folder: Has `JPEGImages` and, unless the photos are unlabelled, `SegmentationClass`.
        partial_prefixes: Prefixes of the names of photos in which only one class is marked.
        categories: Class names by index; with them the folder's `classes.json` is read.
        prior: The listed classes are likely, but others are possible.

    Raises:
        FileNotFoundError: There is no such folder, or no photo in it.
        ValueError: `classes.json` is invalid; see `read_class_lists`.
    """
    photos = Path(folder) / "JPEGImages"
    if not photos.is_dir():
        raise FileNotFoundError(f"{photos} is no folder: photos in VOC layout lie in JPEGImages")
    masks = Path(folder) / "SegmentationClass"
    lists = Path(folder) / CLASS_LISTS
    listed = read_class_lists(lists, categories) if categories and lists.is_file() else {}
    prefixes = tuple(partial_prefixes)
    samples = []
    for photo in sorted(p for p in photos.iterdir() if p.suffix.lower() in PHOTO_ENDINGS):
        mask = masks / f"{photo.stem}.png"
        partial = bool(prefixes) and photo.stem.startswith(prefixes)
        classes = listed.get(photo.stem)
        samples.append(Sample(photo, mask if mask.is_file() else None, partial, classes, prior))
    if not samples:
        raise FileNotFoundError(f"{photos} holds no photo ({', '.join(PHOTO_ENDINGS)})")
    if listed and all(sample.classes is None for sample in samples):
        raise ValueError(
            f"{lists} names no photo of {photos}: its keys are file names without their ending"
        )
    return samples


def read_class_lists(path: Path, categories: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Read the classes of each photo: photo name to sorted class indices.

    Args:
        path: A JSON object of photo name to a class name, or to a list of them.
        categories: Class names by index.

    Raises:
        ValueError: The file is no such object, or has an unknown class.
    """
    try:
        listed = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(listed, dict):
        raise ValueError(f"{path} holds a {type(listed).__name__}, not an object of photo to class")
    indices = {name: index for index, name in enumerate(categories)}
    lists = {}
    for photo, names in listed.items():
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list):
            raise ValueError(f"{path}: {photo!r} has {names!r}, not a class name or a list of them")
        unknown = [name for name in names if not isinstance(name, str) or name not in indices]
        if unknown:
            raise ValueError(
                f"{path}: {photo!r} has the unknown class {unknown[0]!r}: "
                f"one of {', '.join(categories)}"
            )
        lists[photo] = tuple(sorted({indices[name] for name in names}))
    return lists


def is_portrait(sample: Sample) -> bool:
    """Return whether a photo is higher than wide; such photos are stored transposed."""
    with Image.open(sample.photo) as image:
        return image.height > image.width


def read_mask(path: Path) -> np.ndarray:
    """Read an indexed mask: class indices (H, W) uint8.

    Raises:
        ValueError: The file contains colours instead of indices.
    """
    with Image.open(path) as image:
        if image.mode not in ("P", "L"):
            raise ValueError(f"{path} is {image.mode}: a mask is an indexed or grey PNG")
        return np.array(image, dtype=np.uint8)
