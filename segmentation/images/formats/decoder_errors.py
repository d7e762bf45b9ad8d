"""Messages for whatever a decoder raises on a bad file."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from segmentation.errors import ImageError


@contextmanager
def image_errors(subject: str) -> Iterator[None]:
    """Turn every exception of the block into an `ImageError` with a message for the user.

    Args:
        subject: The file's name in messages.

    Raises:
        ImageError: The block's own, or one made of another exception.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{subject} needs more memory than there is: make it smaller.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Only with a limit above Pillow's own, which some of its decoders check again.
        limit = (Image.MAX_IMAGE_PIXELS or 0) * 2 / 1e6
        raise ImageError(
            f"{subject} has more pixels than Pillow decodes ({limit:.0f} megapixels): "
            "make it smaller first."
        ) from error
    except Exception as error:
        if isinstance(error, EOFError) or "truncated" in str(error).lower():
            raise ImageError(
                f"{subject} is cut short: it ends before the picture does. Copy it again."
            ) from error
        raise ImageError(
            f"{subject} cannot be decoded: it is damaged, or of a rare kind. "
            "Open it in an image editor and save it as PNG or JPEG."
        ) from error
