"""What travels back from a replica: a `Segmentation` as plain arrays, and who made it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segmentation import ModelCard, Segmentation

PLAIN = ("categories", "model", "device", "seconds", "precision", "set_threshold")
ARRAYS = ("class_map", "confidence", "runner_up", "set_sizes")


@dataclass(frozen=True, eq=False)
class ResultMessage:
    """A labelled photo on its way. Ray hands arrays over without pickling their bytes.

    Attributes:
        arrays: class_map, confidence, runner_up and set_sizes, as in `Segmentation`.
        logits: (C, h, w) float32.
        plain: its other fields.
        card: the answering model's.
    """

    arrays: tuple[np.ndarray | None, ...]
    logits: np.ndarray
    plain: dict[str, Any]
    card: ModelCard


@dataclass(frozen=True)
class ErrorMessage:
    """What a photo came to where that is an error.

    Attributes:
        error: what to raise.
    """

    error: Exception


@dataclass(frozen=True)
class ReplicaInfo:
    """What a replica says of itself.

    Attributes:
        models: name to card, the first choice first.
        pid: its process.
    """

    models: dict[str, ModelCard]
    pid: int


def pack(result: Segmentation, card: ModelCard) -> ResultMessage:
    """Make a result ready to travel."""
    return ResultMessage(
        arrays=tuple(getattr(result, name) for name in ARRAYS),
        logits=result.logits.numpy(),
        plain={name: getattr(result, name) for name in PLAIN},
        card=card,
    )


def unpack(parcel: ResultMessage) -> Segmentation:
    """The result again, in this process's own memory.

    The arrays that arrive lie in Ray's shared memory, and the page keeps its answers for up to an
    hour, which would fill that.
    """
    arrays = {
        name: None if array is None else array.copy()
        for name, array in zip(ARRAYS, parcel.arrays, strict=True)
    }
    return Segmentation(**arrays, logits=torch.from_numpy(parcel.logits.copy()), **parcel.plain)
