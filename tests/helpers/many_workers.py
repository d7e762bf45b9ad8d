"""Worker factories for tests of batch executors; they run no network."""

import os
import signal
import time
from pathlib import Path

from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.errors import ModelError


def make_plain(threads: int):
    """Return a worker that reports its thread count and its process."""

    def label(task: PhotoTask) -> PhotoOutcome:
        return PhotoOutcome(task.image, {"threads": threads, "pid": os.getpid()})

    return label


def make_mortal(threads: int):
    """Return a worker that dies on each photo whose name starts with "deadly"."""

    def label(task: PhotoTask) -> PhotoOutcome:
        if task.image.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return PhotoOutcome(task.image, {"pid": os.getpid()})

    return label


def make_slow(threads: int):
    """Return a worker that writes its process number to the output folder and takes a minute."""

    def label(task: PhotoTask) -> PhotoOutcome:
        Path(task.out, f"{os.getpid()}.pid").touch()
        time.sleep(60)
        return PhotoOutcome(task.image)

    return label


def make_nothing(threads: int):
    """Fail to make a worker, as with missing weights."""
    raise ModelError("there is no such model here")


def make_a_death(threads: int):
    """End the process while making a worker, as without memory."""
    os._exit(3)


def tasks(*names: str, out: str = "/nowhere") -> list[PhotoTask]:
    """Return a task for each name."""
    return [PhotoTask(name, "/nowhere", out, name) for name in names]
