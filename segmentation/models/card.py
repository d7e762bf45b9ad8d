"""A model's card: its categories, its preprocessing and its source."""

import functools
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmentation.errors import ModelError
from segmentation.models.card_figures import Figures, Size, parse_figures
from segmentation.palette import palette_from_card

if TYPE_CHECKING:
    from torchvision.transforms._presets import SemanticSegmentation

MIN_SIZE, MAX_SIZE = 32, 2048  # shorter side of a network's input, in pixels
MAX_TEXT = 1000


def sizes_of(size: Size) -> tuple[int | None, ...]:
    """Return the single sizes of a `Size`."""
    return size if isinstance(size, tuple) else (size,)


@dataclass(frozen=True)
class ModelCard:
    """A model's description of itself.

    Attributes:
        name: The model's name.
        categories: C class names by index, C from 2 to 256.
        palette: "voc", "safe", or RGB triples, one a class.
        resize: Shorter side of the network's input, in pixels.
        mean: Of red, green, blue, in [0, 1] pixel units.
        std: The same, all larger than 0.
        source: The origin of the weights.
        license: Their license.
        parameters: The number of learned parameters, or None.
        miou: Mean intersection over union over all classes in percent, or None.
        measured_on: The name of the photos that `miou` was measured on; empty without it.
        figures: Measurements of the model, or None.
        sharper: Measurements with the probabilities of several sizes averaged, or None.
    """

    name: str
    categories: tuple[str, ...]
    palette: str | tuple[tuple[int, int, int], ...]
    resize: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str = ""
    license: str = ""
    parameters: int | None = None
    miou: float | None = None
    measured_on: str = ""
    figures: Figures | None = None
    sharper: Figures | None = None

    @functools.cached_property
    def palette_array(self) -> np.ndarray:
        """Return the colours of `palette`: (256, 3) uint8 RGB, read-only."""
        colors = palette_from_card(self.palette, len(self.categories))
        colors.setflags(write=False)
        return colors

    def figures_at(self, size: Size) -> Figures | None:
        """Return the measurements at this size; None without any.

        Args:
            size: Shorter side of the network's input in pixels; None for the card's own.
        """
        size = size or self.resize
        measured = (self.figures, self.sharper)
        return next((figures for figures in measured if figures and figures.size == size), None)

    def quality_at(self, size: Size) -> tuple[float, str] | None:
        """Return mean IoU in percent and the photos of its measurement; None at other sizes.

        Args:
            size: As for `figures_at`.
        """
        sharper = self.sharper
        if sharper is not None and size == sharper.size:
            return None if sharper.miou is None else (100 * sharper.miou, sharper.measured_on)
        measured = self.figures.size if self.figures is not None else self.resize
        if self.miou is None or measured != (size or self.resize):
            return None
        return self.miou, self.measured_on

    def transforms(self, size: int | None = None, *, resize: bool = True) -> "SemanticSegmentation":
        """Return torchvision's own preset with this card's numbers.

        Args:
            size: Shorter side in pixels instead of the card's.
            resize: False keeps the image's size.

        Returns:
            PIL image to (3, h, w) float32, normalised.
        """
        from torchvision.transforms._presets import SemanticSegmentation

        return SemanticSegmentation(
            resize_size=(size or self.resize) if resize else None, mean=self.mean, std=self.std
        )


def parse_card(data: bytes | str) -> ModelCard:
    """Read and check a card in JSON.

    Raises:
        ModelError: It is no JSON object, or the named field is missing or wrong.
    """
    return check_card(parse_fields(data))


def parse_fields(data: bytes | str) -> dict[str, Any]:
    """Read a card in JSON without checking its fields; see `parse_card`."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the card is no JSON: {str(error)[:200]}") from error
    if not isinstance(fields, dict):
        raise ModelError(f"the card is a {type(fields).__name__}, not an object with fields")
    return fields


def check_card(fields: Mapping[str, Any]) -> ModelCard:
    """Check the values of a card; see `parse_card`."""
    for field in ("name", "categories", "mean", "std", "resize"):
        if field not in fields:
            raise ModelError(f"the card lacks the field {field!r}")
    categories = _categories(fields["categories"])
    mean, std = _triple(fields, "mean"), _triple(fields, "std", positive=True)
    _check_unit(mean, std)
    palette = fields.get("palette", "voc")
    palette_from_card(palette, len(categories))
    if not isinstance(palette, str):
        palette = tuple(tuple(int(value) for value in color) for color in palette)
    resize = fields["resize"]
    if type(resize) is not int or not MIN_SIZE <= resize <= 4096:
        raise ModelError(
            f"the card's resize is {resize!r:.80}: it is the shorter side in pixels, a whole "
            f"number from {MIN_SIZE} to 4096"
        )
    name = _text(fields, "name")
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ModelError(f"the card's name is {name!r:.80}, not one of 1 to 100 letters")
    figures = parse_figures(fields.get("figures"), categories)
    measured_on = _text(fields, "measured_on") or (figures.measured_on if figures else "")
    return ModelCard(
        name=name,
        categories=categories,
        palette=palette,
        resize=resize,
        mean=mean,
        std=std,
        source=_text(fields, "source"),
        license=_text(fields, "license"),
        parameters=_number(fields, "parameters", int),
        miou=_percent(fields, "miou"),
        measured_on=measured_on,
        figures=figures,
        sharper=parse_figures(fields.get("sharper"), categories),
    )


def _categories(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 2 <= len(value) <= 256:
        is_list = isinstance(value, list | tuple)
        found = f"{len(value)} of them" if is_list else repr(value)[:80]
        hint = ""
        if is_list and len(value) == 1:
            hint = ". A network of one channel has two: what its zero means comes first"
        raise ModelError(
            f"the card's categories must be a list of 2 to 256 names; found {found}{hint}"
        )
    first: dict[str, int] = {}
    for index, name in enumerate(value):
        if not (isinstance(name, str) and name.strip() and len(name) <= 100 and name.isprintable()):
            raise ModelError(
                f"category {index} of the card is {name!r:.80}, not a name of 1 to 100 letters"
            )
        known = first.setdefault(unicodedata.normalize("NFKC", name).strip(), index)
        if known != index:
            raise ModelError(
                f"categories {known} and {index} of the card are both named {name.strip()!r}: "
                "each class needs a name of its own"
            )
    return tuple(value)


def _check_unit(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Refuse mean and std in units of 0 to 255; pixels are in [0, 1].

    A network trained on pixels from 0 to 255 has a std of 1/255. No std is smaller.
    """
    if max(map(abs, mean)) > 1 or max(std) > 4:
        divided = [[round(value / 255, 4) for value in values] for values in (mean, std)]
        raise ModelError(
            f"the card's mean {list(mean)} and std {list(std)} are not of pixels in [0, 1]: if "
            f"they are of 0 to 255, divide by 255, which makes mean {divided[0]} and std "
            f"{divided[1]}"
        )
    if min(std) < 1 / 512:
        raise ModelError(
            f"the card's std is {list(std)}: for pixels in [0, 1] it is 1/255 at least, which is "
            "that of a network trained on pixels from 0 to 255"
        )


def color_note(card: ModelCard) -> str:
    """Return a warning about classes that share a colour, or an empty text."""
    if isinstance(card.palette, str):
        return ""
    names: dict[tuple[int, int, int], list[str]] = {}
    for name, color in zip(card.categories, card.palette, strict=False):
        names.setdefault(color, []).append(name)
    same = [" and ".join(map(repr, shared)) for shared in names.values() if len(shared) > 1]
    more = f", and {len(same) - 3} more" if len(same) > 3 else ""
    listed = "; ".join(same[:3]) + more
    return f"the card gives the same colour to {listed}: they cannot be told apart." if same else ""


def _triple(
    fields: Mapping[str, Any], field: str, *, positive: bool = False
) -> tuple[float, float, float]:
    value = fields[field]
    good = isinstance(value, list | tuple) and len(value) == 3
    if not good or not all(
        isinstance(x, int | float)
        and not isinstance(x, bool)
        and abs(x) < 1e6
        and math.isfinite(x)
        and (x > 0 or not positive)
        for x in value
    ):
        kind = "three numbers above 0" if positive else "three finite numbers"
        raise ModelError(
            f"the card's {field} is {value!r:.80}: it must be {kind} for red, green, blue in "
            "[0, 1] pixel units"
        )
    return tuple(float(x) for x in value)


def _text(fields: Mapping[str, Any], field: str) -> str:
    value = fields.get(field, "")
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ModelError(f"the card's {field} is not a text of at most {MAX_TEXT} letters")
    return value


def _percent(fields: Mapping[str, Any], field: str) -> float | None:
    value = _number(fields, field, float)
    if value is not None and not 0 <= value <= 100:
        raise ModelError(f"the card's {field} is {value:g}: it is in percent, such as 67.4")
    return value


def _number(fields: Mapping[str, Any], field: str, kind: type) -> Any:
    value = fields.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"the card's {field} is {value!r:.80}, not a number")
    if kind(value) != value:
        raise ModelError(f"the card's {field} is {value!r:.80}, not a whole number")
    return kind(value)
