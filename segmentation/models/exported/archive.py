"""Check a `.pt2` archive part by part, and rebuild it without anything that could run.

`torch.export.load` trusts its file. It unpickles parts of the archive without limits, evaluates
symbolic sizes as Python, names variables of generated code after strings in the graph, and calls
whatever the graph's nodes name, `torch.os.system` included (torch 2.15, `torch/_export/serde`). So
torch never loads the original: tensors are copied raw, the graph is checked against what a network
needs, and everything else (sample inputs, stack traces, guards) is dropped.
"""

import json
import re
from typing import Any, BinaryIO

import torch
from torch.export.pt2_archive import PT2ArchiveReader, PT2ArchiveWriter

from segmentation.console import plain
from segmentation.errors import ModelError
from segmentation.models.checkpoints.zips import zip_error
from segmentation.models.exported.archive_limits import (
    check_graph_size,
    check_json_size,
    check_parts,
)

MAX_CARD_BYTES = 1 << 20
MAX_GRAPH_BYTES = 64 << 20
MAX_EXPRESSION = 1000  # characters of one symbolic size

GRAPH = "models/model.json"
CARD = "extra/model.json"
# Folders of tensors and their tables.
_TENSORS = (
    ("data/weights/", "data/weights/model_weights_config.json"),
    ("data/constants/", "data/constants/model_constants_config.json"),
)

_PATH = re.compile(r"\w+(\.\w+)*|", re.ASCII)  # of a parameter in its module
_NAME = re.compile(r"[A-Za-z_]\w*|", re.ASCII)  # of a variable in the code that torch generates
_PAYLOAD = re.compile(r"(weight|tensor)_\d{1,9}", re.ASCII)
_SYMBOL = re.compile(r"[a-z]{1,4}\d{1,9}", re.ASCII)
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|torchvision)\.\w+\.\w+", re.ASCII)
_REFUSED_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|set_|_?resize.*)\.\w+")
_PLAIN_OPERATORS = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|getitem|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|math\.(ceil|floor|trunc)"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
)
_FUNCTIONS = re.compile(  # in sympy.srepr of sizes
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|Max|Min|floor|ceiling|FloorDiv|CeilDiv|CleanDiv"
    "|ModularIndexing|Where|PythonMod|CeilToInt|FloorToInt|IntTrueDiv|FloatTrueDiv|TruncToInt"
    "|TruncToFloat|RoundToInt|ToFloat|Identity|Equality|Unequality|LessThan|StrictLessThan"
    "|GreaterThan|StrictGreaterThan|And|Or|Not|True|False|true|false|oo|int_oo|precision|positive"
    "|integer|nonnegative|real|finite"
)
_EXPRESSION = re.compile(
    r"(?:[A-Za-z_]\w*|\d{1,18}|'[a-z]{1,4}\d{1,9}'|'\d{1,9}\.\d{1,20}'|[-+*/(),=]|\s)*", re.ASCII
)
_TREES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_REFUSED_KEYS = {"as_operator", "as_custom_obj", "custom_obj", "as_nested_tensors"}
_NAME_KEYS = {"name", "as_name", "user_input_name", "forward_arg_names"}
_NAMED = {"tensor_values", "sym_int_values", "sym_float_values", "sym_bool_values"}
_TEXT_KEYS = {"as_string", "as_strings", "torch_version", "verifiers"}


class Archive:
    """The parts of an opened `.pt2` file, read by torch's own reader."""

    def __init__(self, file: BinaryIO) -> None:
        problem = zip_error(file)
        if problem:
            raise ModelError(problem)
        file.seek(0)
        try:
            self._reader = PT2ArchiveReader(file)
            self.names = frozenset(self._reader.get_file_names())
        except Exception as error:  # torch's C++ can raise anything
            raise ModelError(
                f"it is no torch.export archive, or it is broken: {_line(error)}"
            ) from error

    def read(self, name: str, limit: int) -> bytes:
        """Return a part of at most `limit` bytes."""
        size = self.size(name)
        if size > limit:
            raise ModelError(f"its part {name!r} has {size} bytes: at most {limit} are read")
        return self._reader.read_bytes(name)

    def read_json(self, name: str, limit: int) -> Any:
        """Return a part parsed as JSON."""
        data = self.read(name, limit)
        check_json_size(name, data)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"its part {name!r} is no JSON: {_line(error)}") from error

    def size(self, name: str) -> int:
        """Return the uncompressed size of a part in bytes."""
        if name not in self.names:
            raise ModelError(f"its part {name!r} is missing")
        return self._reader.archive_file.get_record_size(name)


def rewrite(archive: Archive, target: BinaryIO) -> None:
    """Write the checked parts of an archive to `target`, as an archive that is safe to load.

    Args:
        archive: The user's archive.
        target: An empty, seekable binary file.

    Raises:
        ModelError: A part is missing, or holds something that a network does not need.
    """
    for name in archive.names:
        if "aotinductor" in name:
            raise ModelError(
                "it holds compiled code, which is not run: save the program with torch.export.save"
            )
    graph = archive.read_json(GRAPH, MAX_GRAPH_BYTES)
    check_graph_size(graph)
    try:
        graph = _checked(graph)
        tables = [_checked_tensors(archive, folder, config) for folder, config in _TENSORS]
    except RecursionError as error:
        raise ModelError("its graph is nested too deeply") from error
    with PT2ArchiveWriter(target) as writer:
        writer.write_string(GRAPH, json.dumps(graph))
        writer.write_bytes("data/sample_inputs/model.pt", b"")
        for (folder, config), table in zip(_TENSORS, tables, strict=True):
            writer.write_string(config, json.dumps(table))
            for part in sorted({entry["path_name"] for entry in table["config"].values()}):
                data = archive.read(folder + part, archive.size(folder + part))
                writer.write_bytes(folder + part, data)
    target.seek(0)


def _checked_tensors(archive: Archive, folder: str, config: str) -> dict[str, Any]:
    """Return the table of tensors, each of them plain bytes that exist in its part."""
    content = archive.read_json(config, MAX_GRAPH_BYTES)
    entries = content.get("config") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise ModelError(f"its part {config!r} has no table of tensors")
    part_bytes: dict[str, int] = {}
    for name, entry in entries.items():
        meta = entry.get("tensor_meta") if isinstance(entry, dict) else None
        if not isinstance(meta, dict) or entry.get("use_pickle") is not False:
            raise ModelError(
                f"its tensor {name[:80]!r} is stored as a Python object, which could run code: "
                "export the network with plain tensors only"
            )
        path = entry.get("path_name")
        if not isinstance(path, str) or not _PAYLOAD.fullmatch(path) or not _PATH.fullmatch(name):
            raise ModelError(f"its tensor {name[:80]!r} has a name or place that is not allowed")
        part_bytes[path] = archive.size(folder + path)
    check_parts(entries, part_bytes)
    return _checked(content)


def _checked(value: Any, key: str = "") -> Any:
    """Copy a JSON value, checking every string by its key."""
    if isinstance(value, dict):
        if set(value) == {"type", "index"}:
            return {"type": "cpu", "index": None}  # loaded on the CPU, moved later
        names = _NAME if key in _NAMED else _PATH
        return {_checked_key(k, names): _checked_entry(k, v) for k, v in value.items()}
    if isinstance(value, list):
        return [_checked(item, key) for item in value]
    if isinstance(value, str):
        _check_string(value, key)
    return value


def _checked_key(name: str, names: re.Pattern[str]) -> str:
    if not names.fullmatch(name) or name in _REFUSED_KEYS:
        raise ModelError(f"its graph has an entry {name[:80]!r}, which is not allowed")
    return name


def _checked_entry(key: str, value: Any) -> Any:
    if key in ("metadata", "treespec_namedtuple_fields"):
        return {}
    if key == "guards_code":
        return []
    if key == "range_constraints":  # bounds of sums and products follow from their symbols'
        value = {name: bounds for name, bounds in value.items() if _SYMBOL.fullmatch(name)}
    if key == "module_call_graph":
        return _checked([entry for entry in value if entry.get("fqn") == ""], key)
    return _checked(value, key)


def _check_string(text: str, key: str) -> None:
    if key == "target":
        _check_operator(text)
    elif key == "expr_str":
        _check_expression(text)
    elif key in ("in_spec", "out_spec"):
        _check_tree(text)
    elif key in _TEXT_KEYS:
        if len(text) > 200 or not text.isprintable():
            raise ModelError(f"its graph holds an odd string, {text[:80]!r}")
    elif not (_NAME if key in _NAME_KEYS else _PATH).fullmatch(text):
        raise ModelError(f"its graph holds a name that is not allowed: {text[:80]!r}")


def _check_operator(target: str) -> None:
    if _PLAIN_OPERATORS.fullmatch(target):
        return
    operator: Any = None
    if _OPERATOR.fullmatch(target) and not _REFUSED_OPERATORS.fullmatch(target):
        operator = torch.ops
        for part in target.split(".")[2:]:
            operator = getattr(operator, part, None)
    if not isinstance(operator, torch._ops.OpOverload):
        raise ModelError(
            f"its graph calls {target[:80]!r}, which is no tensor operation that is allowed here"
        )


def _check_expression(text: str) -> None:
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    unknown = [
        word for word in words if not _SYMBOL.fullmatch(word) and not _FUNCTIONS.fullmatch(word)
    ]
    # one small power at most: a larger number could take hours to compute
    powers = len(re.findall(r"Pow|\*\*", text))
    large = powers and any(int(number) > 64 for number in re.findall(r"(?<!\w)\d+", text))
    if (
        unknown
        or powers > 1
        or large
        or len(text) > MAX_EXPRESSION
        or not _EXPRESSION.fullmatch(text)
    ):
        raise ModelError(f"its graph has a size {text[:80]!r}, which is no plain arithmetic")


def _check_tree(text: str) -> None:
    """Refuse inputs and outputs other than tuples, lists and dicts, which could import modules."""
    try:
        _, tree = json.loads(text)
        todo = [tree]
        while todo:
            node = todo.pop()
            context = json.loads(node["context"]) if node["context"] else None
            known = node["type"] is None or node["type"] in _TREES
            keys = context is None or (
                isinstance(context, list) and all(isinstance(name, str) for name in context)
            )
            if not known or not keys:
                raise ModelError(
                    f"its inputs or outputs are of type {str(node['type'])[:80]!r}: "
                    "only tensors, tuples, lists and dicts are read"
                )
            todo += node["children_spec"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"its inputs or outputs are not described: {_line(error)}") from error


def _line(error: BaseException) -> str:
    lines = plain(str(error), 2000, lines=True).splitlines()
    return lines[0][:200] if lines else type(error).__name__
