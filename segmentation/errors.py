"""Exceptions of this package, one type per cause; each message names the value and the remedy."""

from segmentation.console import plain


class PixelwiseError(Exception):
    """Base class of this package's exceptions.

    Terminal control sequences are removed from the text, which may quote files and libraries.
    """

    def __str__(self) -> str:
        return plain(super().__str__(), lines=True)


class ImageError(PixelwiseError):
    """The image cannot be read, or is larger than allowed."""


class VideoError(PixelwiseError):
    """The clip cannot be read or written, or is larger or longer than allowed."""


class PaletteError(PixelwiseError):
    """The palette does not contain a colour or an index, or cannot be used."""


class WeightsError(PixelwiseError):
    """Weights are missing, broken, or do not fit the model."""


class ModelError(PixelwiseError):
    """The model's name, file or card cannot be used."""


class DeviceError(ModelError):
    """The device is not available on this machine."""


class ExplainError(PixelwiseError):
    """The model lacks the requested part, or does not support the explanation."""


class PixelError(PixelwiseError, IndexError):
    """The pixel is outside the photo."""
