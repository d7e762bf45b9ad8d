"""The network's state dict in whatever a training script has wrapped it."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

WRAPPERS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
    "module",
)
"""Names that scripts keep a network under, the likeliest first; any other name will do too."""
_OTHERS = re.compile(r"optim|sched|scaler|criterion|loss|callback|metric|teacher|discriminator")
_UNLIKELY = "optimizer"
_BESIDE = re.compile(r"(.*_)?(criterion|loss|loss_fn|losses|metrics?|n_averaged)(_.*)?")
_INSERTED = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
MAX_DEPTH = 5


def network_state(loaded: Any, expected: Collection[str] | None = None) -> dict[str, Tensor]:
    """The tensors of a network by the names that the network has for them.

    Args:
        loaded: what a file held: mappings and lists of tensors, numbers and text.
        expected: the network's own names; where a file holds several state dicts, or names with
            something before them, they decide. None where they are not known.

    Returns:
        Name to tensor; empty where nothing looks like a state dict.
    """
    names = frozenset(expected) if expected is not None else None
    best: dict[str, Tensor] = {}
    rank: tuple[int, int, int] | None = None
    for order, (wrapper, tensors) in enumerate(_candidates(loaded)):
        plain = _bare(tensors, names)
        known = len(names & plain.keys()) if names is not None else 0
        place = WRAPPERS.index(wrapper) if wrapper in WRAPPERS else len(WRAPPERS)
        place += wrapper == _UNLIKELY
        size = len(plain) if names is None else -order
        if rank is None or (known, -place, size) > rank:
            best, rank = plain, (known, -place, size)
    return best


def _candidates(loaded: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each mapping that holds tensors by name, with the name it stands under; outer ones first."""
    waiting: list[tuple[str, Any, int]] = [("", loaded, 0)]
    seen: set[int] = set()
    while waiting:
        name, value, depth = waiting.pop(0)
        if id(value) in seen or depth > MAX_DEPTH:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            tensors = {
                key: tensor
                for key, tensor in value.items()
                if isinstance(key, str) and isinstance(tensor, Tensor)
            }
            if tensors:
                yield name, tensors
            waiting += [
                (_UNLIKELY if _is_unlikely(name, key) else key, item, depth + 1)
                for key, item in value.items()
                if isinstance(key, str) and isinstance(item, Mapping | list | tuple)
            ]
        elif isinstance(value, list | tuple) and len(value) <= 16:
            waiting += [(name, item, depth + 1) for item in value]


def _is_unlikely(outer: str, name: str) -> bool:
    return outer == _UNLIKELY or bool(_OTHERS.search(name.lower()))


def _bare(tensors: dict[str, Tensor], expected: frozenset[str] | None) -> dict[str, Tensor]:
    """The same tensors without what DataParallel, Lightning and others put before their names."""
    named = {_without(key, _INSERTED): value for key, value in tensors.items()}
    if expected is None:
        return _by_habit(named)
    shorter = {_without(key, _INSERTED | {"module"}): value for key, value in named.items()}
    return max((_by_match(each, expected) for each in (named, shorter)), key=lambda one: one[0])[1]


def _by_match(
    tensors: dict[str, Tensor], expected: frozenset[str]
) -> tuple[int, dict[str, Tensor]]:
    """Take the beginning under which most of the network's names are found.

    Returns:
        How many are found, and the tensors under that beginning.
    """
    found: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in expected:
                found[".".join(parts[:cut])] += 1
    if not found:
        return 0, _by_habit(tensors)
    most = max(found.values())
    beginning = min((b for b, count in found.items() if count == most), key=len)
    if not beginning:
        tops = {name.split(".")[0] for name in expected}
        return most, {
            key: value
            for key, value in tensors.items()
            if (top := key.split(".")[0]) in tops or not _BESIDE.fullmatch(top)
        }
    start = f"{beginning}."
    return most, {
        key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)
    }


def _by_habit(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip the usual beginnings where the network's own names are not known."""
    while True:
        for start in ("module.", "model.", "net.", "network."):
            inside = [key for key in tensors if key.startswith(start)]
            beside = [key.split(".")[0] for key in tensors if not key.startswith(start)]
            if inside and all(_BESIDE.fullmatch(top) for top in beside):
                tensors = {key.removeprefix(start): tensors[key] for key in inside}
                break
        else:
            return tensors


def _without(key: str, segments: set[str]) -> str:
    return ".".join(part for part in key.split(".") if part not in segments)


def is_usable(value: Tensor) -> bool:
    """Whether a tensor has plain numbers of its own: not sparse, quantized or without memory."""
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized
