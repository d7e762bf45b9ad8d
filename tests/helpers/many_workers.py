"""What workers do in tests of those who employ them: no network, and no mercy."""

import os
import signal
import time
from pathlib import Path

from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.errors import ModelError


def make_plain(threads: int):
    """Answers with the threads it was told to use and its process."""

    def label(task: PhotoTask) -> PhotoOutcome:
        return PhotoOutcome(task.image, {"threads": threads, "pid": os.getpid()})

    return label


def make_mortal(threads: int):
    """Dies of a photo whose name says so, every time."""

    def label(task: PhotoTask) -> PhotoOutcome:
        if task.image.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return PhotoOutcome(task.image, {"pid": os.getpid()})

    return label


def make_slow(threads: int):
    """Leaves its process's number in the output folder, and takes its time."""

    def label(task: PhotoTask) -> PhotoOutcome:
        Path(task.out, f"{os.getpid()}.pid").touch()
        time.sleep(60)
        return PhotoOutcome(task.image)

    return label


def make_nothing(threads: int):
    """Cannot be made, as where weights are missing."""
    raise ModelError("there is no such model here")


def make_a_death(threads: int):
    """Dies while it is made, as for want of memory."""
    os._exit(3)


def tasks(*names: str, out: str = "/nowhere") -> list[PhotoTask]:
    """A task for each name."""
    return [PhotoTask(name, "/nowhere", out, name) for name in names]
