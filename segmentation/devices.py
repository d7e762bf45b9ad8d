"""Choose the device of a network (CUDA, Apple's MPS or CPU) and the number of CPU threads."""

import ctypes
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segmentation.errors import DeviceError

if TYPE_CHECKING:
    import torch

DRIVERS = {"win32": "nvcuda.dll", "linux": "libcuda.so.1"}
AMD_DRIVER = Path("/dev/kfd")


def pick_device(name: "str | torch.device" = "auto") -> "torch.device":
    """Return the device of that name, if this machine has it.

    Args:
        name: `auto` (CUDA, else Apple MPS, else CPU), `cpu`, `cuda`, `cuda:1`, `mps`, or a
            `torch.device`.

    Returns:
        The device; never another than the named one.

    Raises:
        DeviceError: the name is unknown, or the device is not available.
    """
    import torch

    if str(name) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(
            f"unknown device {str(name)!r}: use auto, cpu, cuda, cuda:N (N counts from 0) or mps"
        )
    count, reason = _count(device.type)
    if count == 0:
        raise DeviceError(f"device {str(name)!r} is not available: {reason}; use auto or cpu")
    if device.index is not None and device.index >= count:
        raise DeviceError(
            f"device {str(name)!r} is not available: this machine has {count} of type "
            f"{device.type}, numbered from 0; use {device.type}:{count - 1} or auto"
        )
    return device


def may_have_cuda() -> bool:
    """Return whether this machine may have a CUDA device, without importing torch (a second).

    False only if no driver is installed; then torch would find no GPU either.
    """
    if "torch" in sys.modules or AMD_DRIVER.exists():
        return True
    try:
        ctypes.CDLL(DRIVERS[sys.platform])
    except (KeyError, OSError):
        return False
    return True


def _count(kind: str) -> tuple[int, str]:
    """Return the number of devices of a kind, and the reason if there are none."""
    import torch

    if kind == "cpu":
        return 1, ""
    if kind == "cuda":
        if torch.cuda.is_available():
            return torch.cuda.device_count(), ""
        if torch.version.cuda is None and torch.version.hip is None:
            return 0, "this build of torch has no CUDA"
        return 0, "no CUDA driver or no GPU was found"
    if torch.backends.mps.is_available():
        return 1, ""
    if not torch.backends.mps.is_built():
        return 0, "this build of torch has no MPS (it is for Macs with Apple silicon)"
    return 0, "MPS needs a Mac with Apple silicon and macOS 14 or newer"


def fit_threads(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Limit torch's threads to the processors of this process, unless the user has set them.

    Torch counts the cores of the machine. In a container with fewer (Docker's `--cpus`, a Space,
    Kubernetes), the excess threads would delay all others.

    Args:
        group: folder of the control group, version 2.

    Returns:
        Number of threads that torch now uses.
    """
    import torch

    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ:
        return threads
    limit = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
    try:
        quota, period = (group / "cpu.max").read_text().split()
        limit = min(limit, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no such file, or "max": no limit
    if limit < threads:
        torch.set_num_threads(limit)
    return min(limit, threads)
