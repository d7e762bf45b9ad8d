"""The size at which a network is shown a picture; (height, width) in pixels."""

from segmentation.errors import ModelError
from segmentation.models.card import MAX_SIZE, MIN_SIZE
from segmentation.models.card_figures import Size
from segmentation.models.loader import Model

MAX_ASPECT = 2.5  # a longer panorama is shown smaller, whole, so that memory stays bounded
MAX_PIXELS = 6 << 20  # of what the network is shown: 2048 x 3072
MIN_SIDE = 33  # networks of stride 32 see at least two cells


def checked_size(size: Size) -> Size:
    """The size, if it is one that a network can be shown; None stays None.

    Raises:
        ModelError: it is out of range, or no whole number.
    """
    if size is None:
        return None
    if isinstance(size, tuple):
        if not size:
            raise ModelError("size is an empty tuple: name at least one size in pixels")
        for one in size:
            checked_size(0 if one is None else one)
        return size
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ModelError(
            f"size is {size!r}: it is the shorter side in pixels that the network is shown, a "
            f"whole number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return size


def preset_size(height: int, width: int, short: int) -> tuple[int, int]:
    """The (h, w) that torchvision's preset makes of a picture: shorter side to `short`."""
    long = int(short * max(height, width) / min(height, width))
    return (short, long) if height <= width else (long, short)


def network_size(model: Model, natural: tuple[int, int]) -> tuple[int, int]:
    """The (h, w) that a network is shown: the preset's, within bounds and what it takes.

    Args:
        model: the model.
        natural: what `preset_size` says.
    """
    short, long = min(natural), max(natural)
    scale = min(1.0, MAX_ASPECT * short / long)
    scale = min(scale, (MAX_PIXELS / (short * long * scale**2)) ** 0.5 * scale)
    if scale < 1:
        # the longer side reaches its bound, the shorter follows as far as a network can see
        natural = tuple(max(MIN_SIDE, round(side * scale)) for side in natural)
    if model.square:
        natural = (short, short)
    if model.sides is None:
        return natural
    height, width = model.sides
    return height.nearest(natural[0]), width.nearest(natural[1])


def shape_note(model: Model) -> str:
    """What a person should know of the sizes that a model takes; mostly empty."""
    if model.sides is None:
        return ""
    height, width = model.sides
    if height.step and width.step:
        return "every photo is squeezed to a square for it." if model.square else ""
    tall, wide = (side.low if not side.step else "any" for side in model.sides)
    return (
        f"{model.name} was exported for {tall} x {wide} pixels (height x width): every photo is "
        "squeezed to that, and a chosen size changes nothing of it."
    )
