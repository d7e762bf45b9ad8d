"""Measure how many views a second a training learns from."""

import time

import torch

WARMUP_STEPS = 10
"""Steps of a process that its speed leaves out: kernels are chosen, memory is taken."""


class Speed:
    """Views a second of this process: training alone, without measuring, saving and decoding."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps, self.views, self.seconds = 0, 0, 0.0
        self._since: float | None = None

    def step(self, views: int) -> None:
        """Count a step that is done or under way."""
        self.steps += 1
        if self._since is not None:
            self.views += views
        elif self.steps >= WARMUP_STEPS:
            self.resume()

    def resume(self) -> None:
        """Start the watch, unless the process is still warming up."""
        if self.steps >= WARMUP_STEPS:
            self._since = self._now()

    def pause(self) -> None:
        """Stop the watch: what follows is no training."""
        if self._since is not None:
            self.seconds += self._now() - self._since
            self._since = None

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.monotonic()

    def __str__(self) -> str:
        """Views a second, for a person."""
        if not self.seconds:
            return f"no speed below {WARMUP_STEPS + 1} steps"
        name = "the CPU"
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        return f"{self.views / self.seconds:.0f} views a second on {name}"
