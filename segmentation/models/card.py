"""A model's card: its categories, its preprocessing, and where it comes from."""

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

MIN_SIZE, MAX_SIZE = 32, 2048  # shorter side that a network may be shown, in pixels
MAX_TEXT = 1000


def sizes_of(size: Size) -> tuple[int | None, ...]:
    """Return the single sizes of a `Size`."""
    return size if isinstance(size, tuple) else (size,)


@dataclass(frozen=True)
class ModelCard:
    """What a model says about itself.

    Attributes:
        name: how it is called.
        categories: C class names by index, C from 2 to 256.
        palette: "voc", "safe", or RGB triples, one a class.
        resize: the shorter side it wants to see, in pixels.
        mean: of red, green, blue, in [0, 1] pixel units.
        std: the same, all larger than 0.
        source: where it comes from.
        license: under which terms.
        parameters: how many numbers it has learned, or None.
        miou: mean intersection over union over all classes in percent, or None.
        measured_on: the photos that `miou` was measured on, in words; empty without it.
        figures: what was measured of the model, or None.
        sharper: the same with the probabilities of several sizes averaged, where that was measured.
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
        """(256, 3) uint8 RGB, the colours of `palette`; read-only."""
        colors = palette_from_card(self.palette, len(self.categories))
        colors.setflags(write=False)
        return colors

    def figures_at(self, size: Size) -> Figures | None:
        """The figures, where they were measured at that size.

        Args:
            size: shorter side in pixels that the network is shown; None for the card's own.
        """
        known = [one for one in (self.figures, self.sharper) if one is not None]
        return next((one for one in known if one.size == (size or self.resize)), None)

    def quality_at(self, size: Size) -> tuple[float, str] | None:
        """Mean IoU in percent and what it was measured on, where it was measured at that size.

        Args:
            size: as for `figures_at`.
        """
        if self.sharper is not None and size == self.sharper.size:
            found = self.sharper
            return None if found.miou is None else (100 * found.miou, found.measured_on)
        measured = self.figures.size if self.figures is not None else self.resize
        if self.miou is None or measured != (size or self.resize):
            return None
        return self.miou, self.measured_on

    def transforms(self, size: int | None = None, *, resize: bool = True) -> "SemanticSegmentation":
        """Torchvision's own preset with this card's numbers.

        Args:
            size: shorter side in pixels instead of the card's.
            resize: False leaves the picture's size alone.

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
        ModelError: it is no JSON object, or the named field is missing or wrong.
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
        found = f"{len(value)} of them" if isinstance(value, list | tuple) else repr(value)[:80]
        hint = ""
        if isinstance(value, list | tuple) and len(value) == 1:
            hint = ". A network of one channel has two: what its zero means comes first"
        raise ModelError(
            f"the card's categories must be a list of 2 to 256 names; found {found}{hint}"
        )
    first: dict[str, int] = {}
    for index, name in enumerate(value):
        good = isinstance(name, str) and name.strip() and len(name) <= 100 and name.isprintable()
        if not good:
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
        raise ModelError(
            f"the card's mean {list(mean)} and std {list(std)} are not of pixels in [0, 1]: if "
            f"they are of 0 to 255, divide by 255, which makes mean {_divided(mean)} and std "
            f"{_divided(std)}"
        )
    if min(std) < 1 / 512:
        raise ModelError(
            f"the card's std is {list(std)}: for pixels in [0, 1] it is 1/255 at least, which is "
            "that of a network trained on pixels from 0 to 255"
        )


def _divided(values: tuple[float, ...]) -> list[float]:
    return [round(value / 255, 4) for value in values]


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
