"""Learning-rate schedules and weight averaging."""

import copy
import math
from typing import Any

import torch
from torch import nn

SCHEDULES = ("cosine", "poly")


def learning_rate_factor(
    progress: float, *, schedule: str = "cosine", warmup: float = 0.02, power: float = 0.9
) -> float:
    """What the base learning rate is multiplied by.

    Args:
        progress: Share of the training done, in [0, 1].
        schedule: "cosine" (Loshchilov & Hutter, arXiv 1608.03983) or "poly" (arXiv 1606.00915).
        warmup: Share of the training over which the rate rises linearly.
        power: Exponent of "poly".

    Raises:
        ValueError: Unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}: one of {', '.join(SCHEDULES)}")
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(progress / warmup, 0.01)
    decayed = (progress - warmup) / (1 - warmup)
    if schedule == "poly":
        return (1 - decayed) ** power
    return 0.5 * (1 + math.cos(math.pi * decayed))


class WeightAverage:
    """An exponential moving average of a network's weights and running statistics (EMA).

    Args:
        network: The network to follow.
        decay: Share of the old average kept at each step, once many steps are done.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the network's present weights into the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        averages, values = ([*n.parameters(), *n.buffers()] for n in (self.network, network))
        pairs = list(zip(averages, values, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [v for _, v in floats], 1 - decay)
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        if counts:
            torch._foreach_copy_([a for a, _ in counts], [v for _, v in counts])

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs."""
        return {"steps": self.steps, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.steps = state["steps"]
        self.network.load_state_dict(state["network"])
