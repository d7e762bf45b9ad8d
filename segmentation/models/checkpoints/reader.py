"""Load files written by `torch.save` as data only, without calling any class or function."""

import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import torch

from segmentation.console import plain
from segmentation.errors import WeightsError
from segmentation.models.checkpoints.pickles import sanitized
from segmentation.models.checkpoints.unwrap import network_state

# raised by torch's safe loader for an unexpected pickle; other errors mean a broken file
_NOT_PLAIN = (pickle.UnpicklingError, TypeError, AttributeError, AssertionError, struct.error)


def load_data(path: Path) -> object:
    """Load a file with `weights_only=True`; `pickles` handles the files that this refuses.

    Raises:
        WeightsError: It is broken, or holds more than data.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except _NOT_PLAIN:
                with sanitized(path) as clean:
                    loaded = torch.load(clean, map_location="cpu", weights_only=True)
                if not network_state(loaded):
                    raise pickle.UnpicklingError("there are no tensors by name in it") from None
                return loaded
    except _NOT_PLAIN as error:
        raise WeightsError(
            f"{path} was refused: it is no plain state dict (only tensors, numbers and names are "
            f"read, never code), or it is broken: {_cause(error)}. Save it again with "
            "torch.save(network.state_dict(), path)"
        ) from error
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}") from error
    except (RuntimeError, EOFError, ValueError, LookupError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} is truncated or broken: {_cause(error)}. Fetch or save it again"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"there is not enough memory for the weights {path}") from error


def _cause(error: BaseException) -> str:
    """Return the first line of torch's message without its advice to load unsafely."""
    lines = plain(str(error), 2000, lines=True).splitlines()
    first = lines[0][:200] if lines else type(error).__name__
    return "it holds more than data" if "weights_only" in first else first
