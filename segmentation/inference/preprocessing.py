"""Choose the size of the network's input; sizes are (height, width) in pixels."""

from segmentation.errors import ModelError
from segmentation.models.card import MAX_SIZE, MIN_SIZE
from segmentation.models.card_figures import Size
from segmentation.models.loader import Model

MAX_ASPECT = 2.5  # longer panoramas are shrunk, not cropped, to bound memory
MAX_PIXELS = 6 << 20  # of the network's input: 2048 x 3072
MIN_SIDE = 33  # at stride 32, at least two cells


def checked_size(size: Size) -> Size:
    """Return the size if it is valid, else raise; None is valid.

    Raises:
        ModelError: a size is out of range or not a whole number, or the tuple is empty.
    """
    if size is None:
        return None
    if isinstance(size, tuple):
        if not size:
            raise ModelError("size is an empty tuple: name at least one size in pixels")
        for item in size:
            checked_size(0 if item is None else item)
        return size
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ModelError(
            f"size is {size!r}: give the shorter side of the network's input in pixels, a whole "
            f"number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return size


def preset_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Return torchvision's (h, w) for an image resized to the shorter side `short`."""
    long = int(short * max(height, width) / min(height, width))
    return (short, long) if height <= width else (long, short)


def network_size(model: Model, natural: tuple[int, int]) -> tuple[int, int]:
    """Return the (h, w) of the network's input: bounded, and a size that the model accepts.

    Args:
        model: the model.
        natural: (h, w) from `preset_size`.
    """
    short, long = min(natural), max(natural)
    scale = min(1.0, MAX_ASPECT * short / long)
    scale = min(scale, (MAX_PIXELS / (short * long * scale**2)) ** 0.5 * scale)
    if scale < 1:
        # both sides shrink by one factor, but not below the network's minimum
        natural = tuple(max(MIN_SIDE, round(side * scale)) for side in natural)
    if model.square:
        natural = (short, short)
    if model.sides is None:
        return natural
    height, width = model.sides
    return height.nearest(natural[0]), width.nearest(natural[1])


def shape_note(model: Model) -> str:
    """Return a note for the user on a restricted input size; empty if any size is accepted."""
    if model.sides is None:
        return ""
    height, width = model.sides
    if height.step and width.step:
        return "every photo is squeezed to a square for it." if model.square else ""
    tall, wide = (side.low if not side.step else "any" for side in model.sides)
    return (
        f"{model.name} was exported for {tall} x {wide} pixels (height x width): every photo is "
        "squeezed to that, and a chosen size has no effect."
    )
