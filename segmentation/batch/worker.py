"""Label one photo of a folder: write its two files and return its journal row."""

import os
from pathlib import Path
from typing import Any

import torch

from segmentation.batch.settings import BatchSettings, digest, load_segmenter
from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.errors import PixelwiseError, WeightsError
from segmentation.export.files import chosen_palette, encode_outputs, write_atomic
from segmentation.export.names import paths_of
from segmentation.export.records import result_facts
from segmentation.images.photo import open_photo
from segmentation.inference.segmenter import Segmenter


class PhotoWorker:
    """Labels photos with one model: a `Label`.

    Args:
        settings: from `settle`.
        threads: number of torch's threads; 0 for its default.
        segmenter: the model, if already loaded.

    Raises:
        ModelError, WeightsError, DeviceError: the model cannot be loaded, or its files
            differ from those of the machine that made the settings.
    """

    def __init__(
        self, settings: BatchSettings, threads: int = 0, *, segmenter: Segmenter | None = None
    ) -> None:
        if segmenter is None:
            segmenter = load_segmenter(settings, settings.computed)
            if digest(settings) != settings.digest:
                raise WeightsError(
                    f"the files of {settings.name} differ between machines, or have changed: "
                    "copy the same files to every machine, and run the command again"
                )
        if threads:
            torch.set_num_threads(threads)
        self._settings = settings
        self._segmenter = segmenter
        self._palette = chosen_palette(segmenter, settings.palette)

    def __call__(self, task: PhotoTask) -> PhotoOutcome:
        """Label a photo and write its files atomically."""
        try:
            return PhotoOutcome(task.image, self._label(task))
        except PixelwiseError as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot write to {task.out}: {error.strerror or error}"
        except MemoryError:
            reason = "not enough memory; try fewer --workers or a smaller --size"
        except Exception as error:  # one photo must not stop the others
            reason = f"{type(error).__name__}: {error}"
        return PhotoOutcome(task.image, error=reason)

    def _label(self, task: PhotoTask) -> dict[str, Any]:
        photo = os.path.join(task.folder, task.image)
        stamp = file_fingerprint(photo)  # first, so that a photo changed meanwhile is redone
        opened = open_photo(photo)
        result = self._segmenter.predict(opened)
        settings = self._settings
        files = encode_outputs(opened.image, result.class_map, self._palette, settings.alpha)
        paths = paths_of(task.out, task.name)
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, data in zip(paths, files, strict=True):
            write_atomic(path, data)
        names = [path.as_posix() for path in paths_of("", task.name)]
        return {
            "image": task.image,
            "labels": names[0],
            "overlay": names[1],
            "photo": stamp,
            "bytes": [len(data) for data in files],
            "settings": settings.record(),
            "notes": list(opened.notes),
            **result_facts(result),
        }


def file_fingerprint(photo: str | Path) -> list[int]:
    """Return a photo's size in bytes and its modification time in nanoseconds.

    Returns:
        Both values; an empty list if the file does not exist.
    """
    try:
        status = os.stat(photo)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
