"""How times are taken: in turn, several runs, and told as median with minimum and maximum."""

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


class Clock:
    """Adds up the seconds of the named stages of one run.

    Attributes:
        seconds: stage to seconds by the wall clock, in the order in which they began.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside as part of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took


Work = Callable[[Clock], object]
"""One run of what is measured; it names its stages itself."""


@dataclass(frozen=True)
class Spread:
    """What several runs took: median, minimum and maximum, in the unit of the values."""

    median: float
    minimum: float
    maximum: float

    def text(self, digits: int = 0) -> str:
        """As `median (minimum to maximum)`."""
        median, low, high = (
            f"{value:.{digits}f}" for value in (self.median, self.minimum, self.maximum)
        )
        return f"{median} ({low} to {high})"


def spread(values: list[float], factor: float = 1.0) -> Spread:
    """Median, minimum and maximum of at least one value, each times `factor`."""
    scaled = [value * factor for value in values]
    return Spread(statistics.median(scaled), min(scaled), max(scaled))


def in_turn(
    contenders: Mapping[str, Work], runs: int, *, warm_ups: int = 1
) -> dict[str, dict[str, list[float]]]:
    """Run the contenders one after another, again and again, so that noise meets them all alike.

    Args:
        contenders: name to work.
        runs: how many runs of each are kept.
        warm_ups: how many come before and are not kept.

    Returns:
        For each contender its stages, each with the seconds of every run.
    """
    times: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for run in range(warm_ups + runs):
        for name, work in contenders.items():
            clock = Clock()
            work(clock)
            if run >= warm_ups:
                for stage, seconds in clock.seconds.items():
                    times[name].setdefault(stage, []).append(seconds)
    return times


def total(stages: Mapping[str, list[float]]) -> list[float]:
    """The seconds of each run, all its stages together."""
    return [sum(run) for run in zip(*stages.values(), strict=True)]


def machine() -> dict[str, Any]:
    """Facts of this machine that a time depends on; nothing that tells whose it is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_cpu_bfloat16(),
        "memory_gb": round(_memory_gb(), 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return 0.0
