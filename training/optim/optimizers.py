"""AdamW, SGD and Muon with the same parameter groups."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

OPTIMIZERS = ("adamw", "sgd", "muon")


class Muon(torch.optim.Optimizer):
    """Muon: momentum with orthogonalised updates, for convolution kernels and matrices.

    A kernel (out, in, kh, kw) is a matrix (out, in * kh * kw). Its momentum is replaced by the
    nearest matrix with all singular values near one, by five Newton-Schulz iterations (Jordan
    et al. 2024, "Muon: an optimizer for hidden layers in neural networks"), and scaled so that an
    entry changes about as much as with AdamW (Liu et al. 2025, arXiv 2502.16982), so one learning
    rate suits both.

    Args:
        params: Weights with two dimensions or more.
        lr: Learning rate.
        momentum: Weight of the old momentum.
        weight_decay: Decoupled, as in AdamW.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every weight."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"]
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(momentum, group["momentum"])  # Nesterov
                matrix = orthogonalise(update.flatten(1))
                scale = 0.2 * max(matrix.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(matrix.view_as(weight), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return a matrix (m, n) with the same singular vectors and singular values near one.

    Each iteration applies an odd polynomial of the matrix. Its factor depends on the Gram matrix
    alone, so the iterations run on that small square matrix, and the long side is used only twice.
    It computes in float32: half precision makes small eigenvalues of the Gram matrix negative, and
    the polynomial amplifies those.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # coefficients of the quintic, from the Muon article
    tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if tall else matrix).float()
    wide = wide / (wide.norm() + 1e-7)
    gram = wide @ wide.T
    factor = None
    for i in range(iterations):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal().add_(a)
        factor = step if factor is None else step @ factor
        if i < iterations - 1:
            gram = step @ gram @ step
    wide = factor @ wide
    return wide.T if tall else wide


def make_optimizers(
    network: nn.Module,
    name: str,
    *,
    learning_rate: float,
    weight_decay: float,
) -> list[torch.optim.Optimizer]:
    """Build the optimizers of a network; each group keeps its base rate in "base_lr".

    Norms and biases have no weight decay. With Muon, all weights but the kernels of full
    convolutions and hidden matrices (so norms, biases, depthwise kernels and the classifier) use
    AdamW.

    Raises:
        ValueError: Unknown name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}: one of {', '.join(OPTIMIZERS)}")
    kernels, others, plain = [], [], []
    for key, weight in network.named_parameters():
        hidden = weight.ndim >= 2 and weight.shape[1] > 1 and "classifier" not in key
        if name == "muon" and hidden:
            kernels.append(weight)
        else:
            (others if weight.ndim >= 2 else plain).append(weight)
    groups = [
        {"params": others, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if name == "sgd":
        optimizers = [torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)]
    else:
        optimizers = [torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99))]
    if kernels:
        optimizers.append(Muon(kernels, lr=learning_rate, weight_decay=weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = learning_rate
    return optimizers
