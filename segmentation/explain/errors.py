"""What goes wrong while a network explains itself."""

from segmentation.errors import PixelwiseError


class ExplainError(PixelwiseError):
    """A model has no such part, or cannot be asked this; the message says which and why."""
