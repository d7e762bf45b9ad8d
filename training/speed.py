"""Measure the speed of a training in views a second."""

import time

import torch

WARMUP_STEPS = 10
"""First steps that are not measured: they choose kernels and allocate memory."""


class Speed:
    """Views a second of this process, without evaluation, saving and decoding."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps, self.views, self.seconds = 0, 0, 0.0
        self._since: float | None = None

    def step(self, views: int) -> None:
        """Count a step that is done or running."""
        self.steps += 1
        if self._since is not None:
            self.views += views
        elif self.steps >= WARMUP_STEPS:
            self.resume()

    def resume(self) -> None:
        """Start the clock, unless the process is still warming up."""
        if self.steps >= WARMUP_STEPS:
            self._since = self._now()

    def pause(self) -> None:
        """Stop the clock while the process does not train."""
        if self._since is not None:
            self.seconds += self._now() - self._since
            self._since = None

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.monotonic()

    def __str__(self) -> str:
        """Return the speed as text."""
        if not self.seconds:
            return f"no speed below {WARMUP_STEPS + 1} steps"
        name = "the CPU"
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        return f"{self.views / self.seconds:.0f} views a second on {name}"
