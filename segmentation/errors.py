"""What can go wrong, one type a cause; each message names the value and the remedy."""

from segmentation.console import plain


class PixelwiseError(Exception):
    """Base of every error that this package raises on purpose.

    Its text holds no terminal control sequences, whatever file or library it quotes.
    """

    def __str__(self) -> str:
        return plain(super().__str__(), lines=True)


class ImageError(PixelwiseError):
    """The picture cannot be read, or is larger than allowed."""


class VideoError(PixelwiseError):
    """The clip cannot be read or written, or is larger or longer than allowed."""


class PaletteError(PixelwiseError):
    """A colour or an index that the palette does not hold."""


class WeightsError(PixelwiseError):
    """Weights are missing, broken, or do not fit the model."""


class ModelError(PixelwiseError):
    """A model's name, file or card is not usable."""


class DeviceError(ModelError):
    """The named device is not on this machine."""


class ExplainError(PixelwiseError):
    """A model has no such part, or cannot be asked this; the message says which and why."""


class PixelError(PixelwiseError, IndexError):
    """A pixel that the photo does not have."""
