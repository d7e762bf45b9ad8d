"""Print the table of models for `--list`."""

from segmentation.console import print_error
from segmentation.errors import PixelwiseError
from segmentation.models.loader import count_parameters
from segmentation.models.registry import (
    EMBEDDED,
    MODELS,
    PUBLISHED_ON,
    ModelSpec,
    embedded_card,
    find_local_weights,
    has_embedded,
)


def print_models() -> int:
    """Print each model's parameters, download size, mIoU and data set, and the path of its weights.

    Returns:
        The exit status: 1 if `PIXELWISE_WEIGHTS` is not a folder, else 0.
    """
    status = 0
    rows = [("name", "parameters", "download", "mIoU", "measured on", "weights")]
    for name, spec in MODELS.items():
        try:
            path = find_local_weights(name)
            location = str(path) if path else ("not downloaded" if spec.url else "")
        except PixelwiseError as error:
            location, status = "unknown", status or print_error(str(error))
        if not location:
            location = "not included" if name == EMBEDDED else "none published: use --weights FILE"
        parameters = count_parameters(name)
        rows.append(
            (
                name,
                f"{parameters / 1e6:.1f} M" if parameters else "-",
                f"{spec.bytes / 1e6:.0f} MB" if spec.bytes else "-",
                *_quality(name, spec),
                location,
            )
        )
    rows.append(
        ("PATH.pt2", "-", "-", "-", "-", "your own: torch.export program with a model.json card")
    )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[i].rjust(widths[i]) for i in range(1, 4)]
        print("  ".join([*cells, row[4].ljust(widths[4]), row[5]]))
    return status


def _quality(name: str, spec: ModelSpec) -> tuple[str, str]:
    """Return a model's mean IoU in percent and its data set; dashes if not measured."""
    if name == EMBEDDED and has_embedded():
        card = embedded_card()
        return (f"{card.miou:.1f}", card.measured_on) if card.miou is not None else ("-", "-")
    return (f"{spec.miou:.1f}", PUBLISHED_ON) if spec.miou is not None else ("-", "-")
