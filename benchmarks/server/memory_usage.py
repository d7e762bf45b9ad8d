"""How much memory a process has, and how much at most."""

from collections.abc import Callable
from pathlib import Path

SELF = Path("/proc/self")


def resident_mb(pid: int | str = "self", key: str = "VmRSS") -> float:
    """Resident memory of a process in megabytes; 0 where that cannot be told.

    Args:
        pid: its number; this process if left out.
        key: VmRSS for now, VmHWM for the most so far.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def peak_mb(work: Callable[[], object]) -> tuple[float, float]:
    """Run `work` and watch this process's memory (on Linux; zeros elsewhere).

    Returns:
        The process's peak meanwhile, and how far above what it had before, in megabytes.
    """
    try:
        (SELF / "clear_refs").write_text("5")  # the peak so far is forgotten
    except OSError:
        return 0.0, 0.0
    before = resident_mb()
    work()
    peak = resident_mb(key="VmHWM")
    return peak, peak - before
