"""Train a network: `python -m training.train --data DIR --model NAME`.

After a kill the same command resumes from the last checkpoint and ends in the same state. At its
end it prints the views a second, without evaluation and saving.
"""

import argparse
import json
import sys
import time
from typing import Any

import torch
from torch import Tensor

from segmentation.networks.build import build_network
from segmentation.progress import Bar
from training.checkpoint import load_checkpoint, save_checkpoint
from training.common import (
    eval_transforms,
    fast_bfloat16,
    initial_weights,
    pick_training_device,
    voc_categories,
)
from training.data.dataset import find_samples
from training.data.pipeline import Feed
from training.distillation.feature_hints import Hint
from training.evaluate import figures, measure
from training.optim.losses import soft_cross_entropy
from training.optim.optimizers import make_optimizers
from training.optim.schedule import (
    average_state,
    learning_rate_factor,
    load_average,
    weight_average,
)
from training.recipe import describe, make_parser
from training.speed import Speed

PAUSE_SECONDS = 60.0
"""Maximum seconds that a step counts: longer ones include a stopped process or a closed laptop."""

REPORT_SECONDS = 1.0
"""Seconds between two readings of the loss, because reading it waits for the device."""


class Trainer:
    """One run: its network, optimizers, average, data and progress.

    Args:
        options: Parsed by `make_parser`.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        if options.threads:
            torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.device = pick_training_device(options.device)
        self.half = fast_bfloat16(self.device)
        network = build_network(options.model, options.num_classes)
        if options.init:
            network.load_state_dict(initial_weights(options.init, options.model))
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        self.optimizers = make_optimizers(
            self.network,
            options.optimizer,
            learning_rate=options.lr,
            weight_decay=options.weight_decay,
        )
        self.average = weight_average(self.network, options.ema)
        self.feed = Feed(options, self.device)
        self.hint = self._make_hint(self.feed.hint_channels)
        self.step, self.samples_seen, self.elapsed = 0, 0, 0.0
        self.mean_loss = torch.zeros((), device=self.device)
        self.speed = Speed(self.device)
        self.history: list[dict[str, Any]] = []
        self.checkpoint = options.out / "checkpoint.pt"
        if self.checkpoint.is_file():
            self._restore(load_checkpoint(self.checkpoint))
        self.val_samples = [sample for folder in options.val for sample in find_samples(folder)]

    def _make_hint(self, channels: int) -> Hint | None:
        """Return the module that learns the teachers' features, or None without hints.

        Its optimizer is added to the run's.
        """
        if not channels:
            return None
        hint = Hint(self.network, channels).to(self.device)
        self.optimizers += make_optimizers(
            hint, "adamw", learning_rate=self.options.lr, weight_decay=self.options.weight_decay
        )
        return hint

    def progress(self) -> float:
        """Return the completed share of the training, by steps or by the clock."""
        if self.options.minutes:
            return min(self.elapsed / (60 * self.options.minutes), 1.0)
        return min(self.step / self.options.steps, 1.0)

    def size(self) -> int:
        """Return the side of the views at this point of the training."""
        progress = self.progress()
        return next(p.size for p in self.options.size if progress < p.until or p.until == 1.0)

    def forward(self, batch: Tensor) -> Tensor:
        """Return the logits of a batch, at the network's own stride if it has `coarse_logits`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            coarse = getattr(self.network, "coarse_logits", None)
            return coarse(batch) if coarse else self.network(batch)["out"]

    def hint_weight(self) -> float:
        """Return the present weight of the hints: `--hint-weight` at first, fading to 0."""
        fading = 1 - self.progress() / self.options.hint_until
        return self.options.hint_weight * max(fading, 0.0) if self.hint is not None else 0.0

    def train_step(self) -> Tensor:
        """Train on one batch; return its loss on the device, without waiting for it."""
        options = self.options
        # dropout depends on the step alone, as the batch does
        torch.manual_seed(options.seed * 1_000_003 + self.step)
        stride = 4 if hasattr(self.network, "coarse_logits") else 1
        weight = self.hint_weight()
        batch = self.feed.batch(self.step, options.batch, stride, with_hints=weight > 0)
        factor = learning_rate_factor(
            self.progress(), schedule=options.schedule, warmup=options.warmup
        )
        logits = self.forward(batch.pixels.contiguous(memory_format=torch.channels_last))
        loss = total = soft_cross_entropy(logits, batch.targets, self.feed.class_weights)
        if weight > 0:
            total = loss + weight * self.hint(batch.hints, batch.hinted)
        elif self.hint is not None:
            self.hint.clear()
        total.backward()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            optimizer.step()
            optimizer.zero_grad()
        self.average.update_parameters(self.network)
        loss = loss.detach()
        self.mean_loss = self.mean_loss.lerp(loss, 0.02) if self.step else loss
        self.step += 1
        self.samples_seen += options.batch
        return loss

    def eval_size(self) -> int:
        """Return the shorter side of photos during evaluation."""
        return self.options.eval_size or round(1.25 * self.size())

    def evaluate(self) -> dict[str, Any]:
        """Evaluate the averaged weights on the validation folders."""
        size = self.eval_size()
        matrix = measure(
            self.average.module,
            eval_transforms(size),
            self.val_samples,
            num_classes=self.options.num_classes,
            device=self.device,
        )
        result = figures(matrix, voc_categories(self.options.num_classes))
        return {"step": self.step, "samples": self.samples_seen, "size": size, **result}

    def run(self) -> None:
        """Train to the end, with evaluation and saving."""
        options = self.options
        bar = Bar("train", quiet=options.quiet)
        torch.backends.cudnn.benchmark = True  # views keep one shape, photos do not
        note, last = "", time.monotonic()
        reported = last
        while self.progress() < 1.0:
            if self.size() != self.feed.size:
                self.speed.pause()
                self.feed.prepare(self.size())
                self.speed.resume()
            self.train_step()
            self.speed.step(options.batch)
            now = time.monotonic()
            self.elapsed += min(now - last, PAUSE_SECONDS)
            last = now
            if now - reported > REPORT_SECONDS and not options.quiet:
                loss, reported = self.mean_loss.item(), now
                note = f"loss {loss:.3f}, {self.samples_seen} samples, {self.size()} px"
            bar(self.progress(), 1.0, note)
            finished = self.progress() >= 1.0
            if self.val_samples and (self.step % options.eval_every == 0 or finished):
                self.speed.pause()
                torch.backends.cudnn.benchmark = False
                self._log_figures()
                torch.backends.cudnn.benchmark = True
                self.speed.resume()
            if self.step % options.save_every == 0 or finished:
                self.speed.pause()
                self.save()
                self.speed.resume()
        bar.close()
        self.speed.pause()
        print(f"{self.step} steps, {self.samples_seen} views, {self.speed}", flush=True)

    def _log_figures(self) -> None:
        """Evaluate, and rewrite the log from the history, with a line for each evaluation."""
        loss = round(self.mean_loss.item(), 4)
        result = {"loss": loss, "seconds": round(self.elapsed), **self.evaluate()}
        self.history.append(result)
        brief = {key: value for key, value in result.items() if key != "classes"}
        print("\n" + json.dumps(brief), flush=True)
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        (self.options.out / "log.jsonl").write_text(lines)

    def save(self) -> None:
        """Write the state from which the same command resumes."""
        state = {
            "step": self.step,
            "samples_seen": self.samples_seen,
            "elapsed": self.elapsed,
            "history": self.history,
            "loss": self.mean_loss,
            "recipe": describe(self.options),
            "network": self.network.state_dict(),
            "average": average_state(self.average),
            "hint": self.hint.state_dict() if self.hint is not None else None,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        save_checkpoint(self.checkpoint, state)

    def _restore(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self.network.load_state_dict(state["network"])
        load_average(self.average, state["average"])
        if self.hint is not None:
            self.hint.load_state_dict(state["hint"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            rates = [group["base_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["base_lr"] = rate
        self.step, self.samples_seen = state["step"], state["samples_seen"]
        self.elapsed, self.history = state["elapsed"], state["history"]
        self.mean_loss = state["loss"].to(self.device)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        Trainer(options).run()
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
