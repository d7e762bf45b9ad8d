"""Where a network runs: CUDA, Apple's MPS, or the CPU."""

import torch

from segmentation.errors import DeviceError


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Turn a name into a device that is on this machine.

    Args:
        name: `auto` (CUDA, else Apple MPS, else CPU), `cpu`, `cuda`, `cuda:1`, `mps`, or a
            `torch.device`.

    Returns:
        The device. A named device is returned as named, never exchanged for another.

    Raises:
        DeviceError: the name means nothing, or the device is not on this machine.
    """
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
            f"unknown device {str(name)!r}: say auto, cpu, cuda, cuda:N (N counts from 0) or mps"
        )
    count, reason = _count(device.type)
    if count == 0:
        raise DeviceError(f"device {str(name)!r} is not here: {reason}; say auto or cpu")
    if device.index is not None and device.index >= count:
        raise DeviceError(
            f"device {str(name)!r} is not here: this machine has {count} of type {device.type}, "
            f"numbered from 0; say {device.type}:{count - 1} or auto"
        )
    return device


def _count(kind: str) -> tuple[int, str]:
    """How many devices of a kind there are, and why there are none."""
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
