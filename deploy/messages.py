"""Messages from a replica to the page: results as plain arrays, errors, and available models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segmentation import ModelCard, Segmentation

PLAIN = ("categories", "model", "device", "seconds", "precision", "set_threshold")
ARRAYS = ("class_map", "confidence", "runner_up", "set_sizes")


@dataclass(frozen=True, eq=False)
class ResultMessage:
    """A labelled photo as arrays, which Ray passes without pickling their bytes.

    Attributes:
        arrays: class_map, confidence, runner_up and set_sizes, as in `Segmentation`.
        logits: (C, h, w) float32.
        plain: the other fields of `Segmentation`.
        card: of the model that labelled it.
    """

    arrays: tuple[np.ndarray | None, ...]
    logits: np.ndarray
    plain: dict[str, Any]
    card: ModelCard


@dataclass(frozen=True)
class ErrorMessage:
    """The outcome of a photo that could not be labelled.

    Attributes:
        error: the exception to raise.
    """

    error: Exception


@dataclass(frozen=True)
class ReplicaInfo:
    """The models of a replica and its process.

    Attributes:
        models: name to card, the default first.
        pid: its process number.
    """

    models: dict[str, ModelCard]
    pid: int


def pack(result: Segmentation, card: ModelCard) -> ResultMessage:
    """Return a result as a message."""
    return ResultMessage(
        arrays=tuple(getattr(result, name) for name in ARRAYS),
        logits=result.logits.numpy(),
        plain={name: getattr(result, name) for name in PLAIN},
        card=card,
    )


def unpack(message: ResultMessage) -> Segmentation:
    """Return the result of a message, with arrays copied into this process's memory.

    The message's arrays are in Ray's shared memory, and the page caches results for up to an hour,
    which would fill it.
    """
    arrays = {
        name: None if array is None else array.copy()
        for name, array in zip(ARRAYS, message.arrays, strict=True)
    }
    return Segmentation(**arrays, logits=torch.from_numpy(message.logits.copy()), **message.plain)
