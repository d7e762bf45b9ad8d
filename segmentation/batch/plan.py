"""Plan which photos of a folder to label, and under which names."""

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
    """The photos of a run.

    Attributes:
        done: photos already labelled with these settings, with both files present.
        tasks: the remaining photos, in order.
    """

    done: list[str]
    tasks: list[PhotoTask]


def check_folders(folder: Path, out: Path) -> None:
    """Raise an error if the next run would take output files for photos.

    Args:
        folder: full path of the photos' folder.
        out: full path of the output folder.

    Raises:
        PixelwiseError: labels would be written among the photos.
    """
    folder, out = folder.resolve(), out.resolve()
    if folder.is_relative_to(out) and (folder / folder.relative_to(out)).is_dir():
        raise PixelwiseError(
            f"labels in {str(out)!r} would be among the photos: choose another --out"
        )


def make_plan(
    photos: Sequence[str], folder: Path, out: Path, journal: Journal, settings: BatchSettings
) -> Plan:
    """Plan a run from the photos and the journal.

    A photo keeps its name in the journal, so that added or removed photos do not rename others.

    Args:
        photos: relative to `folder`, sorted.
        folder: full path of the photos' folder.
        out: full path of the output folder.
        journal: of the output folder.
        settings: from `settle`.
    """
    names = OutputNames(out, [folder / photo for photo in photos])
    journal_names = {image: _name_in(row) for image, row in journal.names().items()}
    for name in filter(None, journal_names.values()):
        names.reserve(name)
    plan = Plan([], [])
    record = settings.record()
    for image in photos:
        row = journal.done(image)
        name = journal_names.get(image)
        if row and name and row["settings"] == record and _is_current(row, name, folder, out):
            plan.done.append(image)
            continue
        name = name or names.assign(image, _parent(image))
        plan.tasks.append(PhotoTask(image, str(folder), str(out), name))
    return plan


def folders_of(out: Path, tasks: Iterable[PhotoTask]) -> set[Path]:
    """Return the folders that the tasks write to."""
    return {out, *(out / _parent(task.name) for task in tasks)}


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _name_in(row: Row) -> str | None:
    """Return the name in a journal row; None if `OutputNames` would not assign it."""
    labels = row.get("labels")
    if not isinstance(labels, str) or not labels.endswith(LABELS):
        return None
    name = labels.removesuffix(LABELS)
    return name if _parent(name) == _parent(row["image"]) else None


def _is_current(row: Row, name: str, folder: Path, out: Path) -> bool:
    """Return whether the photo is unchanged and its files have their recorded sizes."""
    if row.get("photo") != file_fingerprint(folder / row["image"]):
        return False
    sizes = [size for path in paths_of(out, name) for size in file_fingerprint(path)[:1]]
    return row.get("bytes") == sizes
