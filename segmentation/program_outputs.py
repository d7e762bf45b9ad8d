"""What a program answers with, as logits: the right one of several, and of the right meaning."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from segmentation.errors import ModelError

NAMES = ("out", "logits", "main", "output", "pred", "seg", "masks")
"""Under which networks put their logits in a dictionary, the likeliest first."""
SLACK = 0.02
"""How far probabilities may be from a sum of 1, for want of precision."""
SMALLEST = 1e-7
log = logging.getLogger(__name__)


def fits(channels: int, num_classes: int) -> bool:
    """Whether an answer of so many channels tells so many classes apart: one channel tells two."""
    return channels == num_classes or (channels == 1 and num_classes == 2)


def pick_logits(answer: Any, num_classes: int) -> Tensor:
    """The one of a program's answers that has the classes.

    Args:
        answer: a tensor, or a dictionary, tuple or list of several, such as (main, auxiliary).
        num_classes: C on the card.

    Returns:
        (N, C, h, w), or (N, 1, h, w) where C is 2.

    Raises:
        ModelError: there is no such tensor, or the answer holds class numbers.
    """
    named = _named(answer)
    maps = {name: value for name, value in named if isinstance(value, Tensor) and value.ndim == 4}
    if not maps:
        raise ModelError(
            f"the program answers with {_described(named)}, not with logits (N, C, h, w)"
            f"{_hint(value for _, value in named)}"
        )
    fitting = [name for name, value in maps.items() if fits(value.shape[1], num_classes)]
    main = [name for name in fitting if "aux" not in name] or fitting
    if isinstance(answer, Mapping) and len(main) > 1 and not set(NAMES) & set(main):
        raise ModelError(
            f"the program answers with {', '.join(map(repr, main))}: call its logits 'out'"
        )
    # one of the wrong number of classes is told so later
    order = [name for among in (main, maps) for name in (*NAMES, *among) if name in among]
    chosen = order[0]
    if not maps[chosen].is_floating_point():
        raise ModelError(
            f"the program answers with class numbers ({maps[chosen].dtype}), not with logits: "
            "leave out its last argmax and export it again"
        )
    return maps[chosen]


def _named(answer: Any) -> list[tuple[str, Any]]:
    if isinstance(answer, Mapping):
        return [(str(name), value) for name, value in answer.items()]
    several = answer if isinstance(answer, tuple | list) else [answer]
    return [(f"answer {index}", value) for index, value in enumerate(several)]


def _described(named: list[tuple[str, Any]]) -> str:
    def shape(value: Any) -> str:
        return f"{tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"

    if len(named) == 1 and named[0][0] == "answer 0":
        return shape(named[0][1])
    return "{" + ", ".join(f"{name[:40]!r}: {shape(value)}" for name, value in named[:6]) + "}"


def _hint(values: Iterable[Any]) -> str:
    whole = any(isinstance(v, Tensor) and v.ndim in (3, 4) and _is_whole(v) for v in values)
    return ": leave out its last argmax and export it again" if whole else ""


def _is_whole(value: Tensor) -> bool:
    return not value.is_floating_point() and value.dtype != torch.bool


class Meaning:
    """Turns what a network says into logits, be it logits, probabilities, or one channel.

    Whether it says probabilities is seen in its answer to the first photo: those of a pixel add up
    to 1; a single one lies in [0, 1]. A later answer that does not look so settles the matter.

    Args:
        ending: "softmax", "sigmoid" or "none" where the network's last step is known, which then
            decides; "" where it is not.
    """

    def __init__(self, ending: str = "") -> None:
        self._ending = ending
        self._probable: bool | None = {"none": False, "": None}.get(ending, True)

    def logits(self, said: Tensor) -> Tensor:
        """(N, C, h, w) float32 of any meaning to logits (N, max(C, 2), h, w); softmax is right.

        One channel is the second class's sigmoid; the first class's logit is then 0.
        """
        if self._ending not in ("softmax", "sigmoid", "none") and self._probable is not False:
            self._look(said)
        if self._probable:
            is_sigmoid = said.shape[1] == 1 or self._ending == "sigmoid"
            said = _log_odds(said) if is_sigmoid else said.clamp(min=SMALLEST).log()
        return torch.cat([torch.zeros_like(said), said], 1) if said.shape[1] == 1 else said

    def _look(self, said: Tensor) -> None:
        low, high = (value.item() for value in torch.aminmax(said))
        if said.shape[1] == 1:
            probable = low >= -SLACK and high <= 1 + SLACK
        else:  # enlarging by cubic curves swings beyond 0 and 1, but leaves the sum alone
            sums = torch.stack(torch.aminmax(said.sum(1)))
            probable = low >= -0.25 and high <= 1.25 and bool(((sums - 1).abs() <= SLACK).all())
        if probable and self._probable is None:
            log.info("the network answers with probabilities: their logarithms are its logits")
        self._probable = probable


def _log_odds(probabilities: Tensor) -> Tensor:
    """The inverse of the sigmoid, in double precision: near 1 float32 has few numbers."""
    return probabilities.double().logit(SMALLEST).to(probabilities.dtype)
