"""Track which input rows and columns reach each cell of a feature map, during a forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from segmentation.errors import ExplainError

EMPTY_SPAN = (1 << 40, -1)  # first > last: no input reaches this cell


@dataclass(frozen=True, eq=False)
class InputRange:
    """The input rows and columns that reach each row and column of a feature map.

    Attributes:
        rows: (h, 2) int64, first and last input row; first > last if none reaches it.
        columns: (w, 2) int64, the same for columns.
    """

    rows: np.ndarray
    columns: np.ndarray

    @staticmethod
    def of_input(height: int, width: int) -> "InputRange":
        """Return the ranges of the input itself: each row and column reaches itself."""
        return InputRange(*(np.stack([np.arange(n)] * 2, axis=1) for n in (height, width)))

    def map_axes(self, change: Callable[[np.ndarray, int], np.ndarray]) -> "InputRange":
        """Return the ranges after `change(ranges, axis)` of rows (axis 0) and columns (axis 1)."""
        return InputRange(change(self.rows, 0), change(self.columns, 1))


class ReceptiveFieldTracker(TorchDispatchMode):
    """Runs operations unchanged and records the input ranges of their results.

    Args:
        pooling: whether to count paths through a mean over a full feature map.
    """

    NAME = "_pixelwise_ranges"

    def __init__(self, *, pooling: bool = True) -> None:
        super().__init__()
        self.pooling = pooling

    def follow(self, tensor: Tensor, ranges: InputRange) -> None:
        """Record the input ranges of a tensor (N, C, h, w)."""
        setattr(tensor, self.NAME, ranges)

    def ranges_of(self, tensor: Tensor) -> InputRange:
        """Return the input ranges of a tensor.

        Raises:
            ExplainError: the tensor does not depend on a tracked one.
        """
        ranges = getattr(tensor, self.NAME, None)
        if ranges is None:
            raise ExplainError(
                "the logits do not come from the photo on a path that can be tracked"
            )
        return ranges

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then record the input ranges of its result."""
        out = func(*args, **(kwargs or {}))
        result = out[0] if isinstance(out, tuple | list) and out else out
        if isinstance(result, Tensor):
            ranges = self._result_ranges(func.overloadpacket.__name__, args, kwargs or {}, result)
            if ranges is not None:
                for tensor in out if isinstance(out, tuple | list) else [out]:
                    if isinstance(tensor, Tensor):
                        self.follow(tensor, ranges)
        return out

    def _result_ranges(self, name: str, args: Any, kwargs: Any, out: Tensor) -> InputRange | None:
        sources = [
            ranges
            for tensor in _tensors(args)
            if (ranges := getattr(tensor, self.NAME, None)) is not None
        ]
        if not sources:
            return None
        source = sources[0]
        if name in ("convolution", "_convolution"):
            return _convolution_ranges(source, args, out)
        if name in ("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"):
            return _pool_ranges(source, args, out)
        if name.startswith("upsample_") and "2d" in name:
            return source.map_axes(
                lambda spans, axis: _upsample(spans, out.shape[2 + axis], args[2:])
            )
        if name == "index_select" and args[1] % args[0].ndim >= 2:
            selected = args[2].cpu().numpy()
            map_axis = args[1] % args[0].ndim - 2
            return source.map_axes(
                lambda spans, axis: spans[selected] if axis == map_axis else spans
            )
        if name == "slice" and args[0].ndim == 4 and len(args) > 1 and args[1] % 4 >= 2:
            part = slice(*(list(args[2:]) + [None] * 3)[:3])
            map_axis = args[1] % 4 - 2
            return source.map_axes(lambda spans, axis: spans[part] if axis == map_axis else spans)
        if name == "constant_pad_nd":
            return _pad_ranges(source, args[1])
        if name in ("mean", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "sum"):
            return source.map_axes(lambda spans, _axis: _global(spans, self.pooling))
        return _elementwise_ranges(sources, out)


def _tensors(args: Any) -> list[Tensor]:
    tensors = []
    for arg in args:
        if isinstance(arg, Tensor):
            tensors.append(arg)
        elif isinstance(arg, list | tuple):
            tensors += [part for part in arg if isinstance(part, Tensor)]
    return tensors


def _union(spans: np.ndarray, indices: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the union of the ranges that each result reads; indices and valid are (n, taps)."""
    indices = indices.clip(0, len(spans) - 1)
    first = np.where(valid, spans[indices, 0], EMPTY_SPAN[0]).min(axis=1)
    last = np.where(valid, spans[indices, 1], EMPTY_SPAN[1]).max(axis=1)
    return np.stack([first, last], axis=1)


def _window(
    spans: np.ndarray, length: int, *, kernel: int, stride: int, padding: int, dilation: int
) -> np.ndarray:
    """Return the ranges of a convolution: i reads i * stride - padding + dilation * tap."""
    starts = np.arange(length)[:, None] * stride - padding
    indices = starts + np.arange(kernel)[None] * dilation
    return _union(spans, indices, (indices >= 0) & (indices < len(spans)))


def _transposed_window(
    spans: np.ndarray, length: int, *, kernel: int, stride: int, padding: int, dilation: int
) -> np.ndarray:
    """Return the ranges of a transposed convolution: i writes what `_window` reads."""
    shifted = np.arange(length)[:, None] + padding - np.arange(kernel)[None] * dilation
    indices = shifted // stride
    return _union(spans, indices, (shifted % stride == 0) & (indices >= 0) & (indices < len(spans)))


def _pair(value: Any, axis: int) -> int:
    value = [value] if isinstance(value, int) else list(value)
    return int(value[axis % len(value)])


def _convolution_ranges(source: InputRange, args: Any, out: Tensor) -> InputRange:
    weight, stride, padding, dilation, transposed = args[1], args[3], args[4], args[5], args[6]
    window = _transposed_window if transposed else _window
    return source.map_axes(
        lambda spans, axis: window(
            spans,
            out.shape[2 + axis],
            kernel=weight.shape[2 + axis],
            stride=_pair(stride, axis),
            padding=_pair(padding, axis),
            dilation=_pair(dilation, axis),
        )
    )


def _pool_ranges(source: InputRange, args: Any, out: Tensor) -> InputRange:
    kernel = args[1]
    stride = args[2] if len(args) > 2 and args[2] else kernel
    padding = args[3] if len(args) > 3 else 0
    return source.map_axes(
        lambda spans, axis: _window(
            spans,
            out.shape[2 + axis],
            kernel=_pair(kernel, axis),
            stride=_pair(stride, axis),
            padding=_pair(padding, axis),
            dilation=1,
        )
    )


def _upsample(spans: np.ndarray, length: int, rest: Any) -> np.ndarray:
    """Return the ranges of bilinear upsampling: two neighbours, except those of weight 0."""
    if len(spans) == length:
        return spans
    corners = bool(rest and rest[0] is True)
    if corners:
        position = np.arange(length) * ((len(spans) - 1) / max(1, length - 1))
    else:
        position = ((np.arange(length) + 0.5) * len(spans) / length - 0.5).clip(0)
    left = np.floor(position).astype(np.int64)
    indices = np.stack([left, left + 1], axis=1)
    valid = np.stack([np.ones(length, bool), (position > left) & (left + 1 < len(spans))], axis=1)
    return _union(spans, indices, valid)


def _pad_ranges(source: InputRange, amounts: Any) -> InputRange:
    """Return the ranges after padding (left, right, top, bottom); negative amounts crop."""
    left, right, top, bottom = (list(amounts) + [0] * 4)[:4]

    def pad(spans: np.ndarray, axis: int) -> np.ndarray:
        before, after = (top, bottom) if axis == 0 else (left, right)
        spans = spans[max(0, -before) : len(spans) - max(0, -after)]
        extra = [np.tile(EMPTY_SPAN, (max(0, n), 1)) for n in (before, after)]
        return np.concatenate([extra[0], spans, extra[1]])

    return source.map_axes(pad)


def _global(spans: np.ndarray, counts: bool) -> np.ndarray:
    if not counts:
        return np.array([EMPTY_SPAN])
    return np.array([[spans[:, 0].min(), spans[:, 1].max()]])


def _elementwise_ranges(sources: list[InputRange], out: Tensor) -> InputRange:
    """Return the ranges of an elementwise operation; a map of one cell is broadcast."""

    def join(axis: int) -> np.ndarray:
        sets = [ranges.rows if axis == 0 else ranges.columns for ranges in sources]
        length = out.shape[2 + axis] if out.ndim == 4 else 1
        if any(len(spans) not in (1, length) for spans in sets):
            sets = [_global(spans, True) for spans in sets]  # no matching shape: count all of it
        sets = [np.broadcast_to(spans, (length, 2)) for spans in sets]
        return np.stack(
            [
                np.min([spans[:, 0] for spans in sets], axis=0),
                np.max([spans[:, 1] for spans in sets], axis=0),
            ],
            axis=1,
        )

    return InputRange(join(0), join(1))
