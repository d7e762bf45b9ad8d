"""Remove everything but data from a checkpoint, so that torch's safe loader accepts it.

`torch.load(weights_only=True)` refuses a whole file because of one date, path or settings object.
This module unpickles such a file without importing anything: each class or function that the pickle
names becomes an inert placeholder. It then writes a new pickle that holds only numbers, texts,
containers and tensor descriptions. `torch.load(weights_only=True)` reads that one.
"""

import contextlib
import io
import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

MAX_PICKLE_BYTES = 256 << 20
MAX_DEPTH = 100

# functions that a tensor description may name; torch checks the names again
_REBUILDERS = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_sparse_tensor",
    "_rebuild_qtensor",
)
_CALLS: dict[str, Any] = {
    f"torch._utils.{name}": getattr(torch._utils, name)
    for name in _REBUILDERS
    if hasattr(torch._utils, name)
} | {"torch.Size": torch.Size, "torch.device": torch.device}
_KINDS = (torch.dtype, torch.layout, torch.qscheme)
_RUNS_CODE = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|runpy|importlib|ctypes|pty|webbrowser|code|codeop"
    r"|multiprocessing|asyncio|commands|platform|pip|urllib|http)\..*"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|__import__|open|input|breakpoint)"
)


class _Placeholder(dict[Any, Any]):
    """Replaces any class or function that a pickle names. Accepts all arguments, does nothing."""

    name = ""
    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *args: Any, **_: Any) -> "_Placeholder":
        instance = super().__new__(cls)
        instance.args = args
        return instance

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any, **__: Any) -> "_Placeholder":
        return _Placeholder()

    def append(self, _: Any) -> None:
        """Ignore an item of a list or set."""

    extend = add = append
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class _Storage:
    """The location of a tensor's storage in the file."""

    def __init__(self, place: Any) -> None:
        self.place = place


class _Call:
    """A tensor description: one of the functions in `_CALLS` and its arguments."""

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


class _Reader(pickle._Unpickler):  # the C one allocates memory for a forged memo index
    """Read any pickle without importing or calling what it names."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self.names: dict[str, type[_Placeholder]] = {}
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> type[_Placeholder]:
        """Return a new placeholder class for each name."""
        full = f"{module}.{name}"
        if full not in self.names:
            self.names[full] = type("Named", (_Placeholder,), {"name": full})
        return self.names[full]

    def get_extension(self, code: int) -> None:
        """Refuse copyreg extension codes."""
        raise pickle.UnpicklingError(f"it names extension {code}")

    def persistent_load(self, pid: Any) -> Any:
        """Keep torch's reference to a storage; the older format refers to classes this way too."""
        if isinstance(pid, tuple) and pid[:1] == ("module",):
            return pid[1]
        storage = _Storage(pid)
        self.storages.setdefault(str(pid[2]) if len(pid) > 2 else str(pid), storage)
        return storage


class _Writer(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.place if isinstance(obj, _Storage) else None

    def reducer_override(self, obj: Any) -> Any:
        return (obj.function, obj.args) if isinstance(obj, _Call) else NotImplemented


@contextlib.contextmanager
def sanitized(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary copy of a checkpoint that holds only data.

    Args:
        path: A file written by `torch.save`, in the zip or the older format.

    Raises:
        pickle.UnpicklingError: The pickle names a function that runs programs, or is broken.
        OSError: The file cannot be read, or the temporary file cannot be written.
    """
    with open(path, "rb") as file, tempfile.TemporaryFile() as clean:
        try:
            if zipfile.is_zipfile(file):
                _rewrite_zip(file, clean)
            else:
                _rewrite_old(file, clean)
        except (pickle.UnpicklingError, OSError):
            raise
        except Exception as error:  # a broken pickle can raise anything
            raise pickle.UnpicklingError(
                f"its pickle is broken ({type(error).__name__})"
            ) from error
        clean.seek(0)
        yield clean


def _rewrite_zip(file: BinaryIO, clean: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(clean, "w") as target:
        for part in archive.infolist():
            with archive.open(part) as source, target.open(part.filename, "w") as copy:
                if part.filename.split("/", 1)[-1] != "data.pkl":
                    shutil.copyfileobj(source, copy, 1 << 20)
                    continue
                if part.file_size > MAX_PICKLE_BYTES:
                    raise pickle.UnpicklingError(f"its pickle has {part.file_size} bytes")
                copy.write(_cleaned(io.BytesIO(source.read())))


def _rewrite_old(file: BinaryIO, clean: BinaryIO) -> None:
    """Rewrite torch's older format: 3 header pickles, the object, the storage keys, raw data."""
    file.seek(0)
    if _Reader(file).load() != 0x1950A86A20F9469CFC6C:
        raise pickle.UnpicklingError("it was not written by torch.save")
    for _ in range(2):
        _Reader(file).load()
    begin = file.tell()
    middle = _cleaned(file, keep_storages=True)
    end = file.tell()
    file.seek(0)
    clean.write(file.read(begin) + middle)
    file.seek(end)
    shutil.copyfileobj(file, clean, 1 << 20)


def _cleaned(file: BinaryIO, *, keep_storages: bool = False) -> bytes:
    """Read the next pickle of a file and return it with only data in it.

    Args:
        file: Open at the pickle's first byte.
        keep_storages: Also keep the storages of dropped objects; the older format needs all.
    """
    reader = _Reader(file)
    value = reader.load()
    for name in reader.names:
        if _RUNS_CODE.fullmatch(name):
            raise pickle.UnpicklingError(f"it names {name[:80]}, which runs programs")
    target, clean = io.BytesIO(), _Cleaner()
    storages = list(reader.storages.values()) if keep_storages else []
    _Writer(target, 2).dump((clean(value), clean(storages)))
    return target.getvalue()


class _Cleaner:
    """Copy the data of an object tree and replace the rest by None; keep shared references."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}

    def __call__(self, value: Any, depth: int = 0) -> Any:
        if type(value) in (type(None), bool, float, str):
            return value
        if type(value) is int:
            return value if value.bit_length() < 64 else None
        if depth > MAX_DEPTH:
            return None
        if id(value) not in self._done:
            self._done[id(value)] = None  # ends the recursion of a container in itself
            self._done[id(value)] = self._copy(value, depth + 1)
        return self._done[id(value)]

    def _copy(self, value: Any, depth: int) -> Any:
        if isinstance(value, type):
            return _named(value)
        if isinstance(value, _Storage):
            return _Storage(self(value.place, depth))
        if isinstance(value, _Placeholder) and value.name in _CALLS:
            return _Call(_CALLS[value.name], self(value.args, depth))
        if isinstance(value, _Placeholder) and (parts := _module_parts(value)) is not None:
            return self(parts, depth)
        if isinstance(value, Mapping):
            if not value and isinstance(value, _Placeholder):
                value = value.state if isinstance(value.state, dict) else _pairs(value.args)
            keys = [key for key in value if type(key) in (str, int)]
            return {key: self(value[key], depth) for key in keys}
        if type(value) in (list, tuple):
            return type(value)([self(item, depth) for item in value])
        return None


def _named(value: type) -> Any:
    """Return the torch dtype, layout or storage class of that name, else None."""
    module, _, name = getattr(value, "name", "").rpartition(".")
    if module not in ("torch", "torch.storage"):
        return None
    member = getattr(torch if module == "torch" else torch.storage, name, None)
    is_storage = isinstance(member, type) and name.endswith("Storage")
    return member if is_storage or isinstance(member, _KINDS) else None


def _module_parts(value: _Placeholder) -> dict[str, Any] | None:
    """Return the state dict of a pickled module, None for any other object."""
    state = value.state
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        return None
    tensors: dict[str, Any] = {}
    transient = state.get("_non_persistent_buffers_set")
    if isinstance(transient, _Placeholder):  # a set, before protocol 4
        transient = transient.args[0] if transient.args else ()
    transient = set(transient) if isinstance(transient, list | set) else set()
    for kind in ("_parameters", "_buffers"):
        own = state.get(kind)
        if isinstance(own, dict):
            tensors |= {k: v for k, v in own.items() if v is not None and k not in transient}
    for name, child in state["_modules"].items():
        below = _module_parts(child) if isinstance(child, _Placeholder) else None
        tensors |= {f"{name}.{key}": tensor for key, tensor in (below or {}).items()}
    return tensors


def _pairs(args: tuple[Any, ...]) -> dict[Any, Any]:
    """Return the items of a dictionary that was pickled as a list of pairs."""
    pairs = args[0] if len(args) == 1 and isinstance(args[0], list) else []
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list | tuple) and len(pair) == 2 and type(pair[0]) in (str, int)
    }
