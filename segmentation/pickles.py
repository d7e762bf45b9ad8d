"""Checkpoints that torch's safe reader refuses for what lies beside the weights, made readable.

`torch.load(weights_only=True)` refuses a whole file for one date, path or settings object in it.
Here such a file's pickle is read by a machine that imports nothing: whatever class or function it
names becomes an empty stand-in. Then it is written anew with numbers, texts, containers and the
descriptions of tensors alone, and that goes through torch's safe reader after all.
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

# what a description of tensors may name; a name alone is written, torch itself checks it again
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
_TRICKS = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|runpy|importlib|ctypes|pty|webbrowser|code|codeop"
    r"|multiprocessing|asyncio|commands|platform|pip|urllib|http)\..*"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|__import__|open|input|breakpoint)"
)


class _StandIn(dict[Any, Any]):
    """Anything that a pickle names: takes whatever it is given, and does nothing with it."""

    name = ""
    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *args: Any, **_: Any) -> "_StandIn":
        made = super().__new__(cls)
        made.args = args
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any, **__: Any) -> "_StandIn":
        return _StandIn()

    def append(self, _: Any) -> None:
        """As a list would."""

    def extend(self, _: Any) -> None:
        """As a list would."""

    def add(self, _: Any) -> None:
        """As a set would."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class _Storage:
    """Where in the file a tensor's numbers lie."""

    def __init__(self, place: Any) -> None:
        self.place = place


class _Call:
    """A description of a tensor: one of `_CALLS` and what it is given."""

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


class _Reader(pickle._Unpickler):  # the one in Python: a forged memo index costs it no memory
    """Reads any pickle; imports and calls nothing that it names."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self.names: dict[str, type[_StandIn]] = {}

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        """A class of its own for each name."""
        full = f"{module}.{name}"
        if full not in self.names:
            self.names[full] = type("Named", (_StandIn,), {"name": full})
        return self.names[full]

    def get_extension(self, code: int) -> None:
        """Registered short names are nobody's here."""
        raise pickle.UnpicklingError(f"it names extension {code}")

    def persistent_load(self, pid: Any) -> _Storage:
        """What torch writes in place of a tensor's numbers."""
        return _Storage(pid)


class _Writer(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.place if isinstance(obj, _Storage) else None

    def reducer_override(self, obj: Any) -> Any:
        return (obj.function, obj.args) if isinstance(obj, _Call) else NotImplemented


@contextlib.contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """The file as torch's safe reader takes it, in a temporary file.

    Args:
        path: what `torch.save` wrote, in either of its formats.

    Raises:
        pickle.UnpicklingError: it names what runs programs, or it is no such file.
        OSError: it cannot be read, or the temporary file cannot be written.
    """
    with open(path, "rb") as file, tempfile.TemporaryFile() as clean:
        try:
            if zipfile.is_zipfile(file):
                _rewrite_zip(file, clean)
            else:
                _rewrite_old(file, clean)
        except (pickle.UnpicklingError, OSError):
            raise
        except Exception as error:  # a broken pickle trips over whatever comes next
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
    """Torch's first format: three small pickles, the object, the order of storages, numbers."""
    file.seek(0)
    if _Reader(file).load() != 0x1950A86A20F9469CFC6C:
        raise pickle.UnpicklingError("torch.save did not write it")
    for _ in range(2):
        _Reader(file).load()
    begin = file.tell()
    middle = _cleaned(file)
    end = file.tell()
    file.seek(0)
    clean.write(file.read(begin) + middle)
    file.seek(end)
    shutil.copyfileobj(file, clean, 1 << 20)


def _cleaned(file: BinaryIO) -> bytes:
    """The next pickle of a file, written anew."""
    reader = _Reader(file)
    value = reader.load()
    for name in reader.names:
        if _TRICKS.fullmatch(name):
            raise pickle.UnpicklingError(f"it names {name[:80]}, which runs programs")
    written = io.BytesIO()
    _Writer(written, 2).dump(_Cleaner()(value))
    return written.getvalue()


class _Cleaner:
    """Copies what may stay; None takes the place of the rest. What is shared stays shared."""

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
            self._done[id(value)] = None  # what contains itself ends here
            self._done[id(value)] = self._copy(value, depth + 1)
        return self._done[id(value)]

    def _copy(self, value: Any, depth: int) -> Any:
        if isinstance(value, type):
            return _named(value)
        if isinstance(value, _Storage):
            return _Storage(self(value.place, depth))
        if isinstance(value, _StandIn) and value.name in _CALLS:
            return _Call(_CALLS[value.name], self(value.args, depth))
        if isinstance(value, _StandIn) and (parts := _module_parts(value)) is not None:
            return self(parts, depth)
        if isinstance(value, Mapping):
            if not value and isinstance(value, _StandIn) and value.name.endswith("Dict"):
                value = _pairs(value.args)
            keys = [key for key in value if type(key) in (str, int)]
            return {key: self(value[key], depth) for key in keys}
        if type(value) in (list, tuple):
            return type(value)([self(item, depth) for item in value])
        return None


def _named(value: type) -> Any:
    """The dtype, layout or storage class of torch that a name stands for; never anything else."""
    module, _, name = getattr(value, "name", "").rpartition(".")
    if module not in ("torch", "torch.storage"):
        return None
    found = getattr(torch if module == "torch" else torch.storage, name, None)
    is_storage = isinstance(found, type) and name.endswith("Storage")
    return found if is_storage or isinstance(found, _KINDS) else None


def _module_parts(value: _StandIn) -> dict[str, Any] | None:
    """The state dict of a network that was saved whole, class and all; None for anything else."""
    state = value.state
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        return None
    found: dict[str, Any] = {}
    passing = state.get("_non_persistent_buffers_set")
    if isinstance(passing, _StandIn):  # a set, before protocol 4
        passing = passing.args[0] if passing.args else ()
    passing = set(passing) if isinstance(passing, list | set) else set()
    for kind in ("_parameters", "_buffers"):
        own = state.get(kind)
        if isinstance(own, dict):
            found |= {k: v for k, v in own.items() if v is not None and k not in passing}
    for name, child in state["_modules"].items():
        below = _module_parts(child) if isinstance(child, _StandIn) else None
        found |= {f"{name}.{key}": tensor for key, tensor in (below or {}).items()}
    return found


def _pairs(args: tuple[Any, ...]) -> dict[Any, Any]:
    """What an ordered dictionary of Python 2 is made from."""
    pairs = args[0] if len(args) == 1 and isinstance(args[0], list) else []
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list | tuple) and len(pair) == 2 and type(pair[0]) in (str, int)
    }
