"""Limits for the parts of a `.pt2` archive, checked before they are parsed or loaded.

`torch.export.load` has none: a part may have any size, a table may name one part a million times,
and a graph costs about 10 ms a node to load, whatever its nodes do.
`segmentation/models/checkpoints/zips.py` bounds what the archive unpacks to.
"""

from collections.abc import Mapping
from typing import Any

from segmentation.errors import ModelError

MAX_JSON_VALUES = 2_000_000  # about 200 a node and 50 a tensor in what torch writes
MAX_NODES = 10_000  # torchvision's DeepLabV3 with ResNet-101 has 1,053
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 64  # torch's own limit for most operations
MAX_SYMBOLIC_SIZES = 100_000  # torch parses each with sympy: about 1 ms
MAX_SHARED = 2  # tensors may claim up to this many times the bytes of their parts (tied weights)
SPARE_SHARED_BYTES = 64 << 20

ITEM_BYTES = {
    **dict.fromkeys((1, 2, 12, 29, 30, 31, 32, 33), 1),  # uint8, int8, bool and the float8 types
    **dict.fromkeys((3, 6, 13, 28), 2),  # int16, float16, bfloat16, uint16
    **dict.fromkeys((4, 7, 9, 34), 4),  # int32, float32, complex32, uint32
    **dict.fromkeys((5, 8, 10, 35), 8),  # int64, float64, complex64, uint64
    11: 16,  # complex128
}
"""Bytes of one value by its `ScalarType` in torch 2.15's `torch/_export/serde/schema.py`."""


def check_json_size(name: str, data: bytes) -> None:
    """Refuse JSON of too many values, counted by its punctuation before it is parsed.

    Raises:
        ModelError: More than `MAX_JSON_VALUES` values may be in it.
    """
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if values > MAX_JSON_VALUES:
        raise ModelError(
            f"its part {name!r} has {values} values: at most {MAX_JSON_VALUES} are read"
        )


def check_graph_size(graph: Any) -> None:
    """Refuse a graph of too many nodes or symbolic sizes, in nested graphs too.

    Args:
        graph: The parsed JSON of a program.

    Raises:
        ModelError: It has more than `MAX_NODES` nodes or `MAX_SYMBOLIC_SIZES` sizes.
    """
    nodes = sizes = 0
    todo = [graph]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            nodes += "target" in value
            sizes += "expr_str" in value
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    if nodes > MAX_NODES:
        raise ModelError(f"its graph has {nodes} nodes: at most {MAX_NODES} are read")
    if sizes > MAX_SYMBOLIC_SIZES:
        raise ModelError(
            f"its graph has {sizes} symbolic sizes: at most {MAX_SYMBOLIC_SIZES} are read"
        )


def check_parts(entries: Mapping[str, Any], part_bytes: Mapping[str, int]) -> None:
    """Refuse a table of tensors whose parts differ in size from what the tensors need.

    Args:
        entries: The table: each tensor's name with its `path_name` and `tensor_meta`.
        part_bytes: Uncompressed size of each part, by `path_name`.

    Raises:
        ModelError: Too many tensors, one that is not described, or a part that does not fit.
    """
    if len(entries) > MAX_TENSORS:
        raise ModelError(f"it has {len(entries)} tensors: at most {MAX_TENSORS} are read")
    needed = dict.fromkeys(part_bytes, 0)
    claimed = 0
    for name, entry in entries.items():
        own, reach = _extent(name, entry["tensor_meta"])
        claimed += own
        path = entry["path_name"]
        needed[path] = max(needed[path], reach)
        if reach > part_bytes[path]:
            raise ModelError(
                f"its tensor {name[:80]!r} claims {reach} bytes in a part of {part_bytes[path]}"
            )
    for path, size in part_bytes.items():
        if size != needed[path]:
            raise ModelError(
                f"its part {path!r} has {size} bytes, but its tensors need {needed[path]}: where a "
                "weight is a slice of a larger tensor, export the network with weight.clone()"
            )
    if claimed > MAX_SHARED * sum(part_bytes.values()) + SPARE_SHARED_BYTES:
        raise ModelError(
            f"its tensors claim {claimed} bytes in parts of {sum(part_bytes.values())}: export the "
            "network with weight.contiguous() where weights were expanded"
        )


def _extent(name: str, meta: Mapping[str, Any]) -> tuple[int, int]:
    """Return the bytes of a tensor's values, and the end of its last value in its part."""
    item = ITEM_BYTES.get(meta.get("dtype")) if type(meta.get("dtype")) is int else None
    if item is None:
        raise ModelError(f"its tensor {name[:80]!r} is of an unknown type, {meta.get('dtype')!r}")
    sizes, strides = _numbers(name, meta.get("sizes")), _numbers(name, meta.get("strides"))
    (offset,) = _numbers(name, [meta.get("storage_offset")])
    if len(sizes) != len(strides):
        raise ModelError(f"its tensor {name[:80]!r} has {len(sizes)} sizes, {len(strides)} strides")
    if 0 in sizes:
        return 0, 0
    count, last = 1, offset
    for size, stride in zip(sizes, strides, strict=True):
        count *= size
        last += (size - 1) * stride
    return count * item, (last + 1) * item


def _numbers(name: str, values: Any) -> list[int]:
    """Return plain integers from 0; refuse symbolic and negative ones."""
    is_list = isinstance(values, list) and len(values) <= MAX_DIMENSIONS
    numbers = [v.get("as_int") if isinstance(v, dict) else None for v in values] if is_list else []
    if not is_list or any(type(n) is not int or n < 0 for n in numbers):
        raise ModelError(f"its tensor {name[:80]!r} has no plain sizes")
    return numbers
