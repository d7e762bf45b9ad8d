"""Find the network's state dict inside a training checkpoint."""

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
"""Usual keys of the network in a checkpoint, most likely first. Other keys are found too."""
_OTHERS = re.compile(r"optim|sched|scaler|criterion|loss|callback|metric|teacher|discriminator")
_UNLIKELY = "optimizer"
_LOSS_NAMES = re.compile(r"(.*_)?(criterion|loss|loss_fn|losses|metrics?|n_averaged)(_.*)?")
_WRAPPER_SEGMENTS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
MAX_DEPTH = 5


def network_state(loaded: Any, expected: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return the network's tensors under the names that the network uses.

    Args:
        loaded: Content of a checkpoint: nested mappings and lists.
        expected: The network's parameter names. They select among several state dicts and
            prefixes. None if they are unknown.

    Returns:
        Name to tensor; empty if there is no state dict.
    """
    names = frozenset(expected) if expected is not None else None
    best: dict[str, Tensor] = {}
    rank: tuple[int, int, int] | None = None
    for order, (wrapper, tensors) in enumerate(_candidates(loaded)):
        plain = _without_prefixes(tensors, names)
        known = len(names & plain.keys()) if names is not None else 0
        place = WRAPPERS.index(wrapper) if wrapper in WRAPPERS else len(WRAPPERS)
        place += wrapper == _UNLIKELY
        size = len(plain) if names is None else -order
        if rank is None or (known, -place, size) > rank:
            best, rank = plain, (known, -place, size)
    return best


def _candidates(loaded: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each mapping with tensor values and its key in the checkpoint, outermost first."""
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


def _without_prefixes(
    tensors: dict[str, Tensor], expected: frozenset[str] | None
) -> dict[str, Tensor]:
    """Remove the prefixes that DataParallel, Lightning, torch.compile and others add."""
    named = {_without(key, _WRAPPER_SEGMENTS): value for key, value in tensors.items()}
    if expected is None:
        return _strip_usual_prefixes(named)
    shorter = {_without(key, _WRAPPER_SEGMENTS | {"module"}): value for key, value in named.items()}
    return max(
        (_strip_matching_prefix(each, expected) for each in (named, shorter)),
        key=lambda result: result[0],
    )[1]


def _strip_matching_prefix(
    tensors: dict[str, Tensor], expected: frozenset[str]
) -> tuple[int, dict[str, Tensor]]:
    """Strip the prefix under which most of the network's names are found.

    Returns:
        The number of names found, and the tensors under that prefix.
    """
    prefixes: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in expected:
                prefixes[".".join(parts[:cut])] += 1
    if not prefixes:
        return 0, _strip_usual_prefixes(tensors)
    matches = max(prefixes.values())
    prefix = min((name for name, count in prefixes.items() if count == matches), key=len)
    if not prefix:
        tops = {name.split(".")[0] for name in expected}
        return matches, {
            key: value
            for key, value in tensors.items()
            if (top := key.split(".")[0]) in tops or not _LOSS_NAMES.fullmatch(top)
        }
    start = f"{prefix}."
    return matches, {
        key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)
    }


def _strip_usual_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip common prefixes if the network's own names are unknown."""
    while True:
        for start in ("module.", "model.", "net.", "network."):
            inside = [key for key in tensors if key.startswith(start)]
            beside = [key.split(".")[0] for key in tensors if not key.startswith(start)]
            if inside and all(_LOSS_NAMES.fullmatch(top) for top in beside):
                tensors = {key.removeprefix(start): tensors[key] for key in inside}
                break
        else:
            return tensors


def _without(key: str, segments: set[str]) -> str:
    return ".".join(part for part in key.split(".") if part not in segments)


def is_usable(value: Tensor) -> bool:
    """Return whether a tensor is dense, not quantized and not on the meta device."""
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized
