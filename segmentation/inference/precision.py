"""Choose the number format of a network, among those that the device supports."""

import functools

import torch
import torch.nn.functional as F

from segmentation.errors import ModelError
from segmentation.inference.onednn import packs

PRECISIONS = ("float32", "auto", "bfloat16", "float16")
"""Names accepted for the option `precision`."""


def checked_precision(name: str, *, exact: bool = False) -> str:
    """Return the precision to use; "float32" with `exact`.

    Raises:
        ModelError: the name is unknown, or cannot be combined with `exact`.
    """
    if name not in PRECISIONS:
        raise ModelError(f"there is no precision {name!r:.60}: use {', '.join(PRECISIONS)}")
    if exact and name not in ("float32", "auto"):
        raise ModelError(
            f"exact results are in float32, not in {name}: leave out exact or the precision"
        )
    return "float32" if exact else name


def half_precision(device: torch.device) -> str | None:
    """Return the half precision that a device supports natively, or None.

    On CUDA this is float16 (from compute capability 7.0, tensor cores): its significand has three
    more bits than bfloat16's, so more labels agree with float32's. On CPUs it is bfloat16, if the
    processor has AVX512-BF16 or AMX; float16 would be emulated, hundreds of times slower.
    """
    if device.type == "cuda":
        return "float16" if torch.cuda.get_device_capability(device) >= (7, 0) else None
    if device.type == "cpu" and has_cpu_bfloat16():
        return "bfloat16"
    return None


def has_cpu_bfloat16() -> bool:
    """Return whether this processor has bfloat16 instructions that oneDNN uses.

    The instructions are AVX512-BF16 or AMX. `packs` tests oneDNN, because `ONEDNN_MAX_CPU_ISA` can
    disable them.
    """
    # private in torch; without them, the processor counts as one that lacks bfloat16
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names) and packs(torch.bfloat16)


def usable_precision(name: str, device: torch.device) -> tuple[str, str]:
    """Return the requested precision if the device supports it, else float32.

    Args:
        name: "float32", "bfloat16" or "float16".
        device: device that the network will run on.

    Returns:
        name: the precision to compute in.
        note: one sentence if the precision was changed, else empty.
    """
    if name == "float32" or _computes(device, name):
        return name, ""
    where = "this processor" if device.type == "cpu" else f"the device {device}"
    return "float32", f"{where} cannot compute in {name}: float32 is used instead."


@functools.cache
def _computes(device: torch.device, name: str) -> bool:
    """Return whether the device runs a small test convolution in this precision."""
    dtype = getattr(torch, name)
    if device.type == "cpu" and dtype == torch.bfloat16:
        return packs(dtype)  # without oneDNN, torch's bfloat16 is slower than its float32
    try:
        ones = torch.ones(1, 4, 4, 4, dtype=dtype, device=device)
        return F.conv2d(ones, ones).float().item() == 64.0
    except (RuntimeError, TypeError):
        return False
