"""Learning-rate schedules and weight averaging."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

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


def weight_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network's weights and running statistics (EMA).

    Args:
        network: The network to follow.
        decay: Share of the old average kept at each step, once many steps are done.

    Returns:
        Its `module` is the average; `update_parameters` takes the network's present weights in.
    """

    def mix(averages: list[Tensor], values: list[Tensor], _: Tensor | int) -> None:
        if averages[0].is_floating_point():
            count = int(average.n_averaged)  # on the CPU, unlike the one handed over
            kept = min(decay, (1 + count) / (10 + count))
            torch._foreach_lerp_(averages, values, 1 - kept)
        else:
            torch._foreach_copy_(averages, values)

    average = AveragedModel(network, multi_avg_fn=mix, use_buffers=True)
    average.n_averaged.fill_(1)  # the first update is mixed in as well, not copied
    return average.eval().requires_grad_(False)


def average_state(average: AveragedModel) -> dict[str, Any]:
    """Everything that `load_average` needs: the number of updates, and the averaged weights."""
    return {"steps": int(average.n_averaged) - 1, "network": average.module.state_dict()}


def load_average(average: AveragedModel, state: dict[str, Any]) -> None:
    """Go on from a saved average."""
    average.n_averaged.fill_(state["steps"] + 1)
    average.module.load_state_dict(state["network"])
