"""Alternating timing of several contenders, and facts of the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segmentation.inference.precision import has_cpu_bfloat16

STAGES = ("decode", "preprocess", "postprocess", "encode")
"""Stages of a photo but the network, from its file to a file of the overlay."""
Times = dict[str, dict[str, list[float]]]
"""Contender -> stage -> seconds of each run."""


class Clock:
    """Adds up the seconds of the named stages of one run.

    Attributes:
        seconds: stage to seconds by the wall clock, in the order in which they began.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as part of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed


Work = Callable[[Clock], object]
"""One measured run; it names its stages itself."""


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of several runs, in the unit of the values."""

    median: float
    minimum: float
    maximum: float

    def text(self, digits: int = 0) -> str:
        """Return `median (minimum to maximum)`."""
        return f"{self.median:.{digits}f} ({self.minimum:.{digits}f} to {self.maximum:.{digits}f})"


def spread(values: list[float], factor: float = 1.0) -> Spread:
    """Return median, minimum and maximum of at least one value, each times `factor`."""
    scaled = [value * factor for value in values]
    return Spread(statistics.median(scaled), min(scaled), max(scaled))


def alternate(contenders: Mapping[str, Work], runs: int, *, warm_ups: int = 1) -> Times:
    """Run the contenders alternately, so that other load on the machine affects all alike.

    Args:
        contenders: name to work.
        runs: recorded runs of each.
        warm_ups: runs of each before those, not recorded.
    """
    times: Times = {name: {} for name in contenders}
    for run in range(warm_ups + runs):
        for name, work in contenders.items():
            clock = Clock()
            work(clock)
            if run >= warm_ups:
                for stage, seconds in clock.seconds.items():
                    times[name].setdefault(stage, []).append(seconds)
    return times


def total(stages: Mapping[str, list[float]]) -> list[float]:
    """Return the seconds of each run, all stages together."""
    return [sum(run) for run in zip(*stages.values(), strict=True)]


def machine() -> dict[str, Any]:
    """Return facts of this machine that a time depends on; no name, address or user."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        memory = 0.0
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_cpu_bfloat16(),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
