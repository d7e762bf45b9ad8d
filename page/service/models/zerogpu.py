"""ZeroGPU on Hugging Face Spaces: a GPU that is lent for the seconds of a forward pass.

The package `spaces` is there on such a Space. It must be imported before anything touches CUDA, so
the package `page` looks for it first of all. It runs a decorated function in a process forked from
this one, and pickles what goes in and what comes out; in this process there is no GPU.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

SECONDS = 30
"""How long a GPU is asked for; a visitor's quota must have as much left."""


def find_spaces() -> ModuleType | None:
    """The package `spaces` on a ZeroGPU Space; None everywhere else."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    try:
        import spaces
    except ImportError:
        return None
    return spaces


def gpu(function: Function) -> Function:
    """Let a function have a GPU on a ZeroGPU Space; everywhere else it stays as it is.

    Args:
        function: takes and returns what can be pickled, no tensors on a GPU among it, and uses no
            lock that another thread of this process may hold.
    """
    spaces = find_spaces()
    return function if spaces is None else spaces.GPU(function, duration=SECONDS)
