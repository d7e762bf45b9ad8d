"""Run a batch through the copy of a model's network that fits the requested precision."""

import threading

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segmentation.console import plain
from segmentation.errors import ModelError
from segmentation.inference.optimized import fast_network, without_auxiliary_head
from segmentation.inference.precision import checked_precision, half_precision, usable_precision
from segmentation.models.loader import Model

AGREEMENT = 0.99
"""Share of pixels that must keep their label for `auto` to choose half precision."""
PRECISION_TRIALS = 3
"""Batches that `auto` runs in both precisions before it decides on half precision."""


class ModelRunner:
    """Runs a model's network.

    The faster copies are made at the first batch, so that a model used only for explanations takes
    no extra memory.

    Args:
        model: the model; its own network is not modified.
        exact: run the published network unchanged, in float32, with bit-exact results.
        precision: "float32", "bfloat16", "float16", or "auto": half precision if this device
            supports it natively and the first photos keep at least 99 % of their labels in it.
        compiled: run the network through `torch.compile`: faster, but each new photo size takes
            seconds to compile.

    Attributes:
        precision: number format that the network computes in.
        note: why `precision` differs from the requested one; usually empty.

    Raises:
        ModelError: the precision is unknown, or cannot be combined with `exact`.
    """

    def __init__(
        self,
        model: Model,
        *,
        exact: bool = False,
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        self.model = model
        self.exact = exact
        self.precision = checked_precision(precision, exact=exact)
        self.note = ""
        self._auto = self.precision == "auto"
        if self._auto:
            self.precision = half_precision(model.device) or "float32"
            self._auto = self.precision != "float32"
        else:
            self.precision, self.note = usable_precision(self.precision, model.device)
        self._compiled = compiled
        self._networks: dict[str, nn.Module] = {}
        self._compared = self._equal = 0  # compared pixels, and those with equal labels
        self._trials = 0
        self._lock = threading.Lock()

    def __call__(self, batch: Tensor) -> Tensor:
        """Run the network.

        Args:
            batch: (N, 3, h, w) float32 on the CPU.

        Returns:
            Logits (N, C, h', w') float32 on the CPU, computed in `precision`.

        Raises:
            ModelError: there is not enough memory, or the network failed.
        """
        if self._auto and self._trials < PRECISION_TRIALS:
            return self._try_both(batch)
        return self._run(batch, self.precision)

    def warm_up(self, batch: Tensor) -> None:
        """Run each copy that may be used once, and discard the results."""
        for precision in {self.precision, "float32"} if self._auto else {self.precision}:
            self._run(batch, precision)

    def _try_both(self, batch: Tensor) -> Tensor:
        """Return half-precision logits while the labels agree; otherwise switch to float32."""
        half, single = self._run(batch, self.precision), self._run(batch, "float32")
        with self._lock:
            self._trials += 1
            equal = _labels(half, batch) == _labels(single, batch)
            self._compared += equal.numel()
            self._equal += int(equal.sum())
            if self._equal >= AGREEMENT * self._compared and bool(torch.isfinite(half).all()):
                if self._trials == PRECISION_TRIALS:
                    self._networks.pop("float32", None)
                return half
            self._networks.pop(self.precision, None)
            self._auto, self.precision = False, "float32"
            return single

    def _run(self, batch: Tensor, precision: str) -> Tensor:
        try:
            network = self._network(precision)
            with torch.inference_mode():
                return network(_to_device(batch, self.model.device))["out"].float().cpu()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ModelError(_too_large(self.model, batch)) from error
        except RuntimeError as error:
            if "alloc" in str(error):
                raise ModelError(_too_large(self.model, batch)) from error
            reason = plain(str(error) or type(error).__name__, lines=True).splitlines()[0][:200]
            if self._compiled and isinstance(error, torch._dynamo.exc.TorchDynamoException):
                raise ModelError(
                    f"{self.model.name} cannot be compiled on this machine ({reason}): leave out "
                    "--compile, or install what torch.compile needs (a C++ compiler)"
                ) from error
            raise ModelError(
                f"the network of {self.model.name} failed on a batch of {tuple(batch.shape)}: "
                f"{reason}"
            ) from error

    def _network(self, precision: str) -> nn.Module:
        with self._lock:
            network = self._networks.get(precision)
            if network is None:
                network = self._make(precision)
                if self._compiled:
                    network = torch.compile(network)
                self._networks[precision] = network
            return network

    def _make(self, precision: str) -> nn.Module:
        model = self.model
        if self.exact:
            return without_auxiliary_head(model.network)
        classes = len(model.card.categories)
        autocast = model.device.type == "cuda" and precision != "float32"
        return fast_network(
            model.network, precision, num_classes=classes, autocast=autocast, side=model.card.resize
        )


def _to_device(batch: Tensor, device: torch.device) -> Tensor:
    """Copy a batch to a device; to a GPU from pinned memory, so that the copy is asynchronous."""
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def _labels(logits: Tensor, batch: Tensor) -> Tensor:
    """Return the labels (N, h, w) at the size of the batch."""
    size = batch.shape[-2:]
    return F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(1)


def _too_large(model: Model, batch: Tensor) -> str:
    return (
        f"not enough memory on {model.device} for {model.name} at {batch.shape[2]} x "
        f"{batch.shape[3]}: choose a smaller size, a smaller model or another device"
    )
