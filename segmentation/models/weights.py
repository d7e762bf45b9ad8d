"""Weights on disk: found, fetched, checked by the hash in their name, and read as data only.

Looked up in order: a path the person names, the folder in `PIXELWISE_WEIGHTS`, torch's hub cache,
the download. A download is written to a file of its own, checked, and only then given its name.
"""

import contextlib
import hashlib
import logging
import os
import re
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock

from segmentation.console import plain
from segmentation.errors import WeightsError
from segmentation.models.checkpoints.file_types import name_kind
from segmentation.models.checkpoints.zips import zip_error
from segmentation.models.download import Progress, download
from segmentation.progress import Bar

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_VARIABLE = "PIXELWISE_WEIGHTS"
log = logging.getLogger(__name__)


class Published(Protocol):
    """What is needed to find a model's weights; `models.ModelSpec` has it."""

    name: str
    file: str | None
    url: str | None
    bytes: int | None


def weights_folder() -> Path | None:
    """The person's own folder of weights, from the environment.

    Raises:
        WeightsError: the variable is set, but there is no such folder.
    """
    value = os.environ.get(FOLDER_VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"{FOLDER_VARIABLE} is set to {value!r}, but there is no such folder: "
            "make it, correct the variable, or unset it"
        )
    return folder


def hub_cache_dir() -> Path:
    """Where torch.hub keeps downloads (`TORCH_HOME` moves it); it need not exist yet."""
    get_dir = getattr(sys.modules.get("torch.hub"), "get_dir", None)
    if get_dir is not None:
        return Path(get_dir()) / "checkpoints"
    # As `torch.hub.get_dir` has it, without the second that importing torch takes.
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def find_weights(spec: Published) -> Path | None:
    """The file that would be used, without network and without reading it; None if none is here.

    Args:
        spec: the model; its published file name is looked for, and `<name>.pth` in the folder of
            `PIXELWISE_WEIGHTS`.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` names no folder.
    """
    folder = weights_folder()
    names = [name for name in (spec.file, f"{spec.name}.pth") if name]
    for name in names if folder else []:
        if (folder / name).is_file():
            return folder / name
    if spec.file and (hub_cache_dir() / spec.file).is_file():
        return hub_cache_dir() / spec.file
    return None


def fetch_weights(spec: Published, progress: Progress | None = None) -> Path:
    """The model's weights as a file whose hash is right, downloaded where they are not here.

    A broken file in torch's cache is removed and fetched again; one in the person's own folder is
    refused and left alone. Processes and threads that ask at the same time download once.

    Args:
        spec: the model.
        progress: called with (bytes done, bytes in all or None); by default a line on a terminal.

    Raises:
        WeightsError: the weights cannot be had; the message says where they were looked for.
    """
    cached = hub_cache_dir() / spec.file if spec.file else None
    found = find_weights(spec)
    if found is not None and found != cached:
        check_hash(found)
        return found
    if cached is None or not spec.url:
        raise WeightsError(_nowhere(spec, "nobody has published any"))
    if found is not None and has_right_hash(found):
        return found
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cached.with_name(f".{cached.name}.lock")):
            if cached.is_file():  # another process was first, or the file is broken
                if has_right_hash(cached):
                    return cached
                log.warning("%s is broken (wrong hash): removed and fetched again", cached)
                cached.unlink()
            bar = Bar(f"fetching {spec.file}", quiet=progress is not None, delay=0)
            with contextlib.closing(bar):
                expected = hash_in_name(cached)
                download(spec.url, cached, expected=expected, progress=progress or bar)
    except WeightsError as error:
        raise WeightsError(_nowhere(spec, str(error))) from error
    except OSError as error:
        raise WeightsError(_nowhere(spec, f"cannot write there: {_reason(error)}")) from error
    return cached


def hash_in_name(path: Path) -> str | None:
    """The beginning of the file's SHA-256 that its name carries, such as `586e9e4e`."""
    match = re.search(r"-([0-9a-f]{8,64})\.[^.]+$", path.name)
    return match.group(1) if match else None


def has_right_hash(path: Path) -> bool:
    """Whether the file is what its name says; true where the name carries no hash.

    Raises:
        WeightsError: the file cannot be read.
    """
    expected = hash_in_name(path)
    if expected is None:
        return True
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(expected)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {_reason(error)}") from error


def check_hash(path: Path) -> None:
    """Refuse a file of the person's own that is not what its name says; it is left where it is.

    Raises:
        WeightsError: wrong hash, or the file cannot be read.
    """
    if not has_right_hash(path):
        kind = f" (it is {kind})" if (kind := name_kind(path)) else ""
        raise WeightsError(
            f"{path} is broken or changed: its SHA-256 does not begin with {hash_in_name(path)}, "
            f"as its name says{kind}. Fetch it again, or rename it if these weights are your own"
        )


def read_state_dict(
    path: Path, *, verified: bool = False, expected: Collection[str] | None = None
) -> "dict[str, Tensor]":
    """Read a state dict as data (`weights_only=True`): nothing in the file is ever run.

    Accepts checkpoints of training scripts: removes wrappers such as "model" or "state_dict" and
    the prefixes of DataParallel, Lightning, torch.compile and averaged models, and ignores
    settings, dates, paths and NumPy scalars beside the weights (see `pickles` and `unwrap`).

    Args:
        path: the file.
        verified: its hash was checked just now.
        expected: parameter names of the network that will be filled; they select among several
            state dicts. None if they are unknown.

    Raises:
        WeightsError: there is no such file, it is broken, or it is no state dict.
    """
    if not path.is_file():
        hint = "it is a folder, name the file in it" if path.is_dir() else "check the path"
        raise WeightsError(f"there is no weights file {str(path)!r}: {hint}")
    if not verified:
        check_hash(path)
    _check_kind(path)
    if hash_in_name(path) is None and zipfile.is_zipfile(path) and (problem := zip_error(path)):
        raise WeightsError(f"{path} cannot be used: {problem}. Fetch or save it again")
    from segmentation.models.checkpoints.reader import (
        load_data,  # and torch with it: seconds at the first call
    )
    from segmentation.models.checkpoints.unwrap import is_usable, network_state

    loaded = load_data(path)
    state = network_state(loaded, expected)
    if state:
        return {key: value for key, value in state.items() if is_usable(value)}
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds {_kind(loaded)}, not a state dict of names and tensors")
    key, value = next(iter(loaded.items()))
    raise WeightsError(
        f"{path} is no state dict: its entry {plain(str(key), 60)!r} is {_kind(value)}, "
        "not a tensor. Save network.state_dict()"
    )


def _check_kind(path: Path) -> None:
    """Refuse other kinds of files by name.

    Raises:
        WeightsError: the file is of another kind, or cannot be read.
    """
    try:
        kind = name_kind(path)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {_reason(error)}") from error
    if kind:
        raise WeightsError(f"{path} holds no PyTorch weights: it is {kind}")


def differences(
    expected: "Mapping[str, Tensor]",
    given: "Mapping[str, Tensor]",
    *,
    ignore: Callable[[str], bool],
) -> list[str]:
    """How a state dict differs from the network's: one phrase a key, in the network's order.

    Args:
        expected: the network's state dict.
        given: the file's.
        ignore: keys that may be missing.
    """
    found = [f"missing {key}" for key in expected if key not in given and not ignore(key)]
    found += [f"unexpected {plain(key, 100)}" for key in given if key not in expected]
    found += [
        f"{key} is {tuple(given[key].shape)} where the model has {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    return found


def _nowhere(spec: Published, why: str) -> str:
    """The message for weights that cannot be had: the file, the places, the address, the remedy."""
    folder = os.environ.get(FOLDER_VARIABLE)
    places = [f"{FOLDER_VARIABLE} ({folder or 'not set'})", f"torch's cache ({hub_cache_dir()})"]
    if not spec.url:
        return (
            f"no weights for {spec.name}: {why}. Train some and name them (weights=FILE, "
            f"--weights FILE), or put them into {FOLDER_VARIABLE} as {spec.name}.pth. "
            f"Looked in: {'; '.join(places)}"
        )
    size = f" ({spec.bytes / 1e6:.0f} MB)" if spec.bytes else ""
    return (
        f"no weights for {spec.name}: the file {spec.file}{size} was looked for in "
        f"{'; '.join(places)}; the download from {spec.url} failed: {why}. "
        f"Fetch that address on a machine with a network, put the file into a folder and set "
        f"{FOLDER_VARIABLE} to it, or use the built-in model (--model embedded)"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
