"""Which photos of a folder are still to be labelled, and under which names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segmentation.batch.journal import Journal, Row
from segmentation.batch.settings import BatchSettings
from segmentation.batch.tasks import PhotoTask
from segmentation.batch.worker import file_fingerprint
from segmentation.errors import PixelwiseError
from segmentation.export.names import LABELS, OutputNames, paths_of


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        done: photos that are labelled already, by these settings, with both files there.
        tasks: the others, in their order.
    """

    done: list[str]
    tasks: list[PhotoTask]


def check_places(folder: Path, out: Path) -> None:
    """Refuse an output folder whose files would be taken for photos in the next run.

    Args:
        folder: full path of the photos' folder.
        out: full path of the output folder.

    Raises:
        PixelwiseError: labels would lie among the photos.
    """
    folder, out = folder.resolve(), out.resolve()
    if folder.is_relative_to(out) and (folder / folder.relative_to(out)).is_dir():
        raise PixelwiseError(
            f"labels in {str(out)!r} would lie among the photos: name another folder with --out"
        )


def make_plan(
    photos: Sequence[str], folder: Path, out: Path, journal: Journal, settings: BatchSettings
) -> Plan:
    """Compare the photos with what the journal says is done.

    A photo keeps the name that the journal has for it, so that photos which come or go do not
    rename the others.

    Args:
        photos: relative to `folder`, sorted.
        folder: full path of the photos' folder.
        out: full path of the output folder.
        journal: of the output folder.
        settings: from `settle`.
    """
    names = OutputNames(out, [folder / photo for photo in photos])
    kept = {image: _name_in(row) for image, row in journal.names().items()}
    for name in filter(None, kept.values()):
        names.reserve(name)
    plan = Plan([], [])
    record = settings.record()
    for image in photos:
        row = journal.done(image)
        name = kept.get(image)
        if row and name and row["settings"] == record and _is_whole(row, name, folder, out):
            plan.done.append(image)
            continue
        name = name or names.assign(image, _parent(image))
        plan.tasks.append(PhotoTask(image, str(folder), str(out), name))
    return plan


def folders_of(out: Path, tasks: Iterable[PhotoTask]) -> set[Path]:
    """The folders that the tasks write to."""
    return {out, *(out / _parent(task.name) for task in tasks)}


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _name_in(row: Row) -> str | None:
    """The name that a row has for its photo; None for one that `OutputNames` would not give."""
    labels = row.get("labels")
    if not isinstance(labels, str) or not labels.endswith(LABELS):
        return None
    name = labels.removesuffix(LABELS)
    return name if _parent(name) == _parent(row["image"]) else None


def _is_whole(row: Row, name: str, folder: Path, out: Path) -> bool:
    """Whether the photo is the one that was labelled, and its files have the bytes they had."""
    if row.get("photo") != file_fingerprint(folder / row["image"]):
        return False
    sizes = [size for path in paths_of(out, name) for size in file_fingerprint(path)[:1]]
    return row.get("bytes") == sizes
