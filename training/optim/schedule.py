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
    """Return the factor of the base learning rate.

    Args:
        progress: Completed share of the training, in [0, 1].
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
    """Return an exponential moving average of a network's weights and running statistics (EMA).

    Args:
        network: The network to follow.
        decay: Weight of the old average at each step, after many steps.

    Returns:
        Its `module` is the average; `update_parameters` adds the network's present weights.
    """

    def mix(averages: list[Tensor], values: list[Tensor], _: Tensor | int) -> None:
        if averages[0].is_floating_point():
            count = int(average.n_averaged)  # on the CPU, unlike the third argument
            old = min(decay, (1 + count) / (10 + count))
            torch._foreach_lerp_(averages, values, 1 - old)
        else:
            torch._foreach_copy_(averages, values)

    average = AveragedModel(network, multi_avg_fn=mix, use_buffers=True)
    average.n_averaged.fill_(1)  # so that the first update is averaged, not copied
    return average.eval().requires_grad_(False)


def average_state(average: AveragedModel) -> dict[str, Any]:
    """Return the state for `load_average`: the number of updates and the averaged weights."""
    return {"steps": int(average.n_averaged) - 1, "network": average.module.state_dict()}


def load_average(average: AveragedModel, state: dict[str, Any]) -> None:
    """Load a saved average."""
    average.n_averaged.fill_(state["steps"] + 1)
    average.module.load_state_dict(state["network"])
