"""Select a program's segmentation output and convert it to logits."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from segmentation.errors import ModelError

NAMES = ("out", "logits", "main", "output", "pred", "seg", "masks")
"""Usual keys of the logits in an output dictionary, most likely first."""
SLACK = 0.02
"""Largest rounding error of a sum of probabilities."""
TOTALS = (1.0, 100.0, 255.0)
"""Sums of a pixel's probabilities: as shares, in percent, in steps of a byte."""
SMALLEST = 1e-6
"""Probabilities are clamped this far from 0 and 1, so that their logits are finite."""
log = logging.getLogger(__name__)


def fits(channels: int, num_classes: int) -> bool:
    """Return whether an output with so many channels fits; one channel means two classes."""
    return channels == num_classes or (channels == 1 and num_classes == 2)


def pick_logits(output: Any, num_classes: int) -> Tensor:
    """Select the output that holds the class scores.

    Args:
        output: A tensor, or a dictionary, tuple or list of outputs, such as (main, auxiliary).
        num_classes: The number of categories on the card.

    Returns:
        (N, C, h, w), or (N, 1, h, w) for two classes.

    Raises:
        ModelError: There is no such output, it is ambiguous, or it holds class indices.
    """
    named = list(_named(output))
    maps: dict[str, Tensor] = {}
    for name, value in named:
        if isinstance(value, Tensor) and value.ndim == 4:
            maps.setdefault(name if name not in maps else f"{name} {len(maps)}", value)
    if not maps and num_classes == 2:  # one channel, without its dimension
        maps = {
            name: value[:, None]
            for name, value in named
            if isinstance(value, Tensor) and value.ndim == 3 and value.is_floating_point()
        }
    if not maps:
        raise ModelError(
            f"the program answers with {_described(named)}, not with logits (N, C, h, w)"
            f"{_hint(value for _, value in named)}"
        )
    fitting = [name for name, value in maps.items() if fits(value.shape[1], num_classes)]
    main = [name for name in fitting if "aux" not in name] or fitting
    if isinstance(output, Mapping) and len(main) > 1 and not set(NAMES) & set(main):
        raise ModelError(
            f"the program answers with {', '.join(map(repr, main))}: call its logits 'out'"
        )
    # if none fits, the caller reports the number of classes
    order = [name for among in (main, maps) for name in (*NAMES, *among) if name in among]
    chosen = order[0]
    if not maps[chosen].is_floating_point():
        raise ModelError(
            f"the program answers with class numbers ({maps[chosen].dtype}), not with logits: "
            "leave out its last argmax and export it again"
        )
    return maps[chosen]


def _named(output: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all outputs with their keys, also those in nested containers."""
    if isinstance(output, Mapping):
        for key, value in output.items():
            yield from _named(value, str(key))
    elif isinstance(output, tuple | list):
        for value in output:
            yield from _named(value, name)
    else:
        yield name, output


def _described(named: list[tuple[str, Any]]) -> str:
    shapes = [(name, _shape(value)) for name, value in named[:6]]
    return ", ".join(f"{name[:40]!r}: {shape}" if name else shape for name, shape in shapes)


def _shape(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"({', '.join(str(n) if isinstance(n, int) else 'any' for n in value.shape)})"


def _hint(values: Iterable[Any]) -> str:
    has_indices = any(
        isinstance(value, Tensor)
        and value.ndim in (3, 4)
        and not value.is_floating_point()
        and value.dtype != torch.bool
        for value in values
    )
    return ": leave out its last argmax and export it again" if has_indices else ""


class LogitConverter:
    """Convert a network's output to logits: from logits, probabilities or a single channel.

    Probabilities are detected on the first photo: the values of each pixel sum to 1 (or 100 or
    255), or a single channel lies in [0, 1]. The first output that does not is proof of logits.

    Args:
        activation: "softmax", "sigmoid" or "none" if the network's last layer is known, see
            `checks.final_activation`; "" if it is not.
    """

    def __init__(self, activation: str = "") -> None:
        self._activation = activation
        self._total = 1.0
        self._probable: bool | None = {"none": False, "": None}.get(activation, True)

    def logits(self, output: Tensor) -> Tensor:
        """Convert (N, C, h, w) float32 to logits (N, max(C, 2), h, w).

        A single channel becomes the second class; the first class's logit is 0, so that softmax
        equals the channel's sigmoid.
        """
        if self._activation not in ("softmax", "sigmoid", "none") and self._probable is not False:
            self._detect(output)
        if self._probable:
            output = output / self._total
            is_sigmoid = output.shape[1] == 1 or self._activation == "sigmoid"
            output = output.logit(SMALLEST) if is_sigmoid else output.clamp(min=SMALLEST).log()
        return torch.cat([torch.zeros_like(output), output], 1) if output.shape[1] == 1 else output

    def _detect(self, output: Tensor) -> None:
        """Decide whether the outputs so far are probabilities, and their total for a pixel."""
        low, high = (value.item() for value in torch.aminmax(output))
        total = 1.0
        if output.shape[1] == 1:
            probable = low >= -SLACK and high <= 1 + SLACK
        else:  # bicubic upsampling leaves [0, 1] but keeps the sum
            sums = torch.stack(torch.aminmax(output.sum(1)))
            total = next((t for t in TOTALS if bool(((sums / t - 1).abs() <= SLACK).all())), 1.0)
            near = bool(((sums / total - 1).abs() <= SLACK).all())
            probable = near and low >= -0.25 * total and high <= 1.25 * total
        if probable and self._probable is None:
            log.info("the network outputs probabilities; converted to logits")
        self._probable, self._total = probable, total
