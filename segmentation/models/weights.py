"""Find or download weights, check them by the hash in their name, and read them as data only.

Search order: the user's path, the folder in `PIXELWISE_WEIGHTS`, torch's hub cache, the download. A
download is written to a temporary file, checked, and then renamed.
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
from typing import TYPE_CHECKING

from filelock import FileLock

from segmentation.console import plain
from segmentation.errors import WeightsError
from segmentation.models.checkpoints.file_types import name_kind
from segmentation.models.checkpoints.zips import zip_error
from segmentation.models.download import Progress, download
from segmentation.progress import Bar

if TYPE_CHECKING:
    from torch import Tensor

    from segmentation.models.registry import ModelSpec

FOLDER_VARIABLE = "PIXELWISE_WEIGHTS"
log = logging.getLogger(__name__)


def weights_folder() -> Path | None:
    """Return the user's own folder of weights, from the environment.

    Raises:
        WeightsError: The variable is set, but there is no such folder.
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
    """Return torch.hub's folder of downloads (`TORCH_HOME` moves it); it may not exist yet."""
    get_dir = getattr(sys.modules.get("torch.hub"), "get_dir", None)
    if get_dir is not None:
        return Path(get_dir()) / "checkpoints"
    # The same as `torch.hub.get_dir`, without the second that importing torch takes.
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def find_weights(spec: "ModelSpec") -> Path | None:
    """Return the local file of a model's weights, without opening it; None if there is none.

    Args:
        spec: The model. Its published file name is searched for, and `<name>.pth` in the folder of
            `PIXELWISE_WEIGHTS`.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` is not a folder.
    """
    folder = weights_folder()
    names = [name for name in (spec.file, f"{spec.name}.pth") if name]
    for name in names if folder else []:
        if (folder / name).is_file():
            return folder / name
    if spec.file and (hub_cache_dir() / spec.file).is_file():
        return hub_cache_dir() / spec.file
    return None


def fetch_weights(spec: "ModelSpec", progress: Progress | None = None) -> Path:
    """Return the file of a model's weights with a correct hash, downloaded if it is missing.

    A broken file in torch's cache is removed and downloaded again; one in the user's own folder is
    refused and not changed. Concurrent processes and threads download a file once.

    Args:
        spec: The model.
        progress: Called with (bytes done, total bytes or None); by default a bar on a terminal.

    Raises:
        WeightsError: There are no weights; the message lists the places that were searched.
    """
    cached = hub_cache_dir() / spec.file if spec.file else None
    local = find_weights(spec)
    if local is not None and local != cached:
        check_hash(local)
        return local
    if cached is None or not spec.url:
        raise WeightsError(_not_found(spec, "nobody has published any"))
    if local is not None and has_right_hash(local):
        return local
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
        raise WeightsError(_not_found(spec, str(error))) from error
    except OSError as error:
        raise WeightsError(_not_found(spec, f"cannot write there: {_reason(error)}")) from error
    return cached


def hash_in_name(path: Path) -> str | None:
    """Return the beginning of the SHA-256 in a file's name, such as `586e9e4e`, or None."""
    match = re.search(r"-([0-9a-f]{8,64})\.[^.]+$", path.name)
    return match.group(1) if match else None


def has_right_hash(path: Path) -> bool:
    """Return whether a file has the hash in its name; True for a name without a hash.

    Raises:
        WeightsError: The file cannot be read.
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
    """Refuse a user's file that does not have the hash in its name; the file is not changed.

    Raises:
        WeightsError: Wrong hash, or the file cannot be read.
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
    """Read a state dict as data (`weights_only=True`): no code in the file is run.

    Accepts checkpoints of training scripts: removes wrappers such as "model" or "state_dict" and
    the prefixes of DataParallel, Lightning, torch.compile and averaged models, and ignores
    settings, dates, paths and NumPy scalars beside the weights (see `pickles` and `unwrap`).

    Args:
        path: The file.
        verified: Its hash has just been checked.
        expected: Parameter names of the network that will be filled; they select among several
            state dicts. None if they are unknown.

    Raises:
        WeightsError: There is no such file, it is broken, or it is no state dict.
    """
    if not path.is_file():
        hint = "it is a folder, name the file in it" if path.is_dir() else "check the path"
        raise WeightsError(f"there is no weights file {str(path)!r}: {hint}")
    if not verified:
        check_hash(path)
    _check_kind(path)
    if hash_in_name(path) is None and zipfile.is_zipfile(path) and (problem := zip_error(path)):
        raise WeightsError(f"{path} cannot be used: {problem}. Fetch or save it again")
    # Imports torch, which takes seconds.
    from segmentation.models.checkpoints.reader import load_data
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
        WeightsError: The file is of another kind, or cannot be read.
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
    """List how a state dict differs from a network's: one phrase a key, in the network's order.

    Args:
        expected: The network's state dict.
        given: The file's.
        ignore: Returns True for keys that may be missing.
    """
    phrases = [f"missing {key}" for key in expected if key not in given and not ignore(key)]
    phrases += [f"unexpected {plain(key, 100)}" for key in given if key not in expected]
    phrases += [
        f"{key} is {tuple(given[key].shape)} where the model has {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    return phrases


def _not_found(spec: "ModelSpec", reason: str) -> str:
    """Return the message for missing weights: the file, the places, the address, the remedy."""
    folder = os.environ.get(FOLDER_VARIABLE)
    places = [f"{FOLDER_VARIABLE} ({folder or 'not set'})", f"torch's cache ({hub_cache_dir()})"]
    if not spec.url:
        return (
            f"no weights for {spec.name}: {reason}. Train some and name them (weights=FILE, "
            f"--weights FILE), or put them into {FOLDER_VARIABLE} as {spec.name}.pth. "
            f"Looked in: {'; '.join(places)}"
        )
    size = f" ({spec.bytes / 1e6:.0f} MB)" if spec.bytes else ""
    return (
        f"no weights for {spec.name}: the file {spec.file}{size} was looked for in "
        f"{'; '.join(places)}; the download from {spec.url} failed: {reason}. "
        f"Fetch that address on a machine with a network, put the file into a folder and set "
        f"{FOLDER_VARIABLE} to it, or use the built-in model (--model embedded)"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
