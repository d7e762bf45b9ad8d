"""Load a user's own network from an exported program (`.pt2`) with a card, read as data."""

import logging
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.utils._pytree import tree_unflatten

from segmentation.console import plain
from segmentation.errors import ModelError, PixelwiseError
from segmentation.models.card import ModelCard, parse_card
from segmentation.models.checkpoints.file_types import name_kind
from segmentation.models.exported.archive import CARD, MAX_CARD_BYTES, Archive, rewrite
from segmentation.models.exported.checks import check_deterministic, final_activation
from segmentation.models.exported.outputs import LogitConverter, fits, pick_logits

MAX_FILE_BYTES = 2 << 30
HOW_TO_SAVE = (
    "save it with torch.export.save(program, path, extra_files={'model.json': json.dumps(card)})"
)


@dataclass(frozen=True)
class SizeRange:
    """The lengths that a program accepts for one side of its input: step * n + offset.

    Attributes:
        low: Smallest length, in pixels.
        high: Largest length.
        step: Distance between lengths; 0 where only one is accepted.
    """

    low: int = 1
    high: int = 1 << 15
    step: int = 1

    def nearest(self, length: float) -> int:
        """Return the accepted length nearest to `length`."""
        if not self.step:
            return self.low
        steps = round((length - self.low) / self.step)
        return self.low + self.step * min(max(steps, 0), (self.high - self.low) // self.step)


@dataclass(frozen=True)
class Program:
    """A loaded program.

    Attributes:
        card: Its card.
        network: Batch (N, 3, H, W) float32 to {"out": logits (N, C, h, w) float32}.
        sides: The heights and the widths that it accepts.
        square: Whether height and width must be equal.
    """

    card: ModelCard
    network: nn.Module
    sides: tuple[SizeRange, SizeRange]
    square: bool


def load_program(path: str | os.PathLike[str], device: torch.device) -> Program:
    """Load a `.pt2` file: its card first, then its rebuilt archive.

    Raises:
        ModelError: The file cannot be used; the message names the reason.
    """
    with _opened(path) as file:
        archive = Archive(file)
        card = _card(archive)
        with tempfile.TemporaryFile() as clean:
            rewrite(archive, clean)
            program = _load(clean)
    inputs = [spec for spec in program.graph_signature.user_inputs if isinstance(spec, str)]
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    if len(program.graph_signature.user_inputs) != 1 or not isinstance(values[inputs[0]], Tensor):
        raise ModelError(f"{path}: the program must take one tensor, (N, 3, H, W) float")
    value = values[inputs[0]]
    if value.ndim != 4 or value.shape[1] != 3 or not value.is_floating_point():
        raise ModelError(
            f"{path}: the program takes {tuple(value.shape)} of {value.dtype}, not (N, 3, H, W) "
            "of floats"
        )
    try:
        check_deterministic(program)
        activation = _check_output(program, card)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if device.type != "cpu":
        program = move_to_device_pass(program, device)
    batch, height, width = (_side(program, value.shape[i]) for i in (0, 2, 3))
    square = str(value.shape[2]) == str(value.shape[3]) and height.step > 0
    network = ProgramNetwork(
        program.module(check_guards=False), value.dtype, batch, len(card.categories), activation
    )
    return Program(card, network, (height, width), square)


class ProgramNetwork(nn.Module):
    """A program with the interface of a torchvision network: float32 in, {"out": float32} out."""

    def __init__(
        self,
        program: nn.Module,
        dtype: torch.dtype,
        batches: SizeRange,
        num_classes: int = 0,
        activation: str = "",
    ) -> None:
        super().__init__()
        self.program = program
        self.dtype = dtype
        self.batches = batches
        self.num_classes = num_classes
        self._converter = LogitConverter(activation)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """Turn a batch (N, 3, H, W) into {"out": logits (N, C, h, w)}."""
        groups = batch.to(self.dtype).split(self.batches.nearest(len(batch)))
        return {"out": torch.cat([self._logits(group) for group in groups])}

    def _logits(self, group: Tensor) -> Tensor:
        """Return a group's logits; copies of the last photo fill up a fixed batch size."""
        count = len(group)
        missing = self.batches.nearest(count) - count
        if missing > 0:
            group = torch.cat([group, group[-1:].expand(missing, -1, -1, -1)])
        output = pick_logits(self.program(group), self.num_classes)
        return self._converter.logits(output[:count].float())  # (count, C, h, w)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open the file, and put its name into every error message."""
    path = Path(path).expanduser()
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelError("it is no file")
        if size > MAX_FILE_BYTES:
            raise ModelError(f"it has {size} bytes: at most {MAX_FILE_BYTES >> 30} GB are read")
        _check_kind(path)
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise ModelError(f"there is no file {str(path)!r}: check the path") from error
    except OSError as error:
        raise ModelError(f"cannot use {path}: {error.strerror or error}") from error
    except PixelwiseError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def _check_kind(path: Path) -> None:
    """Refuse other kinds of files by name. Archives are checked in `Archive`."""
    kind = name_kind(path)
    if kind and (not zipfile.is_zipfile(path) or "TorchScript" in kind):
        raise ModelError(f"it is {kind}")


def _card(archive: Archive) -> ModelCard:
    if CARD not in archive.names:
        raise ModelError(
            "it carries no card (extra file model.json with name, categories, mean, std, resize, "
            f"palette, source, license): {HOW_TO_SAVE}"
        )
    return parse_card(archive.read(CARD, MAX_CARD_BYTES))


def _load(clean: BinaryIO) -> ExportedProgram:
    quiet = logging.getLogger("torch.export")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        return torch.export.load(clean)
    except Exception as error:  # torch can raise anything
        text = plain(str(error), lines=True) or type(error).__name__
        raise ModelError(
            f"torch {torch.__version__} cannot load its program ({text.splitlines()[-1][:200]}): "
            "export it again with this version of torch"
        ) from error
    finally:
        quiet.setLevel(level)


def _side(program: ExportedProgram, length: Any) -> SizeRange:
    """Return the lengths that a program accepts, from its range constraints."""
    if isinstance(length, int):
        return SizeRange(length, length, 0)
    expression = length.node.expr  # step * symbol + offset
    (symbol,) = expression.free_symbols
    bounds = program.range_constraints.get(symbol)
    low = int(bounds.lower) if bounds is not None else 1
    high = int(bounds.upper) if bounds is not None and bounds.upper < 1 << 15 else 1 << 15
    smallest, largest = (int(expression.subs(symbol, value)) for value in (low, high))
    return SizeRange(smallest, largest, int(expression.subs(symbol, low + 1)) - smallest)


def _check_output(program: ExportedProgram, card: ModelCard) -> str:
    """Refuse a program whose output does not fit the card's categories.

    Returns:
        The output's activation; see `final_activation`.
    """
    nodes = {node.name: node for node in program.graph.nodes}
    names = [str(name) for name in program.graph_signature.user_outputs]
    values = [nodes[name].meta.get("val") if name in nodes else None for name in names]
    output = tree_unflatten(values, program.call_spec.out_spec)
    logits = pick_logits(output, len(card.categories))
    if not isinstance(logits.shape[1], int):
        raise ModelError(
            "the number of classes is not the second dimension of the program's output: return "
            "logits (N, C, h, w)"
        )
    if not fits(logits.shape[1], len(card.categories)):
        raise ModelError(
            f"the program answers with {logits.shape[1]} classes, but its card lists "
            f"{len(card.categories)} categories: correct the card"
        )
    chosen = [name for name, value in zip(names, values, strict=True) if value is logits]
    return final_activation(nodes[chosen[0]]) if chosen else ""
