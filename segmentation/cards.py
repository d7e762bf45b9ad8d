"""A model's card: its categories, its preprocessing, and where it comes from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segmentation.card_figures import Figures, Size, parse_figures
from segmentation.errors import ModelError
from segmentation.palette import palette_from_card

if TYPE_CHECKING:
    from torchvision.transforms._presets import SemanticSegmentation

MIN_SIZE, MAX_SIZE = 32, 2048  # shorter side that a network may be shown, in pixels
MAX_TEXT = 1000


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
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the card is no JSON: {str(error)[:200]}") from error
    return check_card(fields)


def check_card(fields: Any) -> ModelCard:
    """Check the values of a card; see `parse_card`."""
    if not isinstance(fields, Mapping):
        raise ModelError(f"the card is a {type(fields).__name__}, not an object with fields")
    for field in ("name", "categories", "mean", "std", "resize"):
        if field not in fields:
            raise ModelError(f"the card lacks the field {field!r}")
    categories = _categories(fields["categories"])
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
        mean=_triple(fields, "mean"),
        std=_triple(fields, "std", positive=True),
        source=_text(fields, "source"),
        license=_text(fields, "license"),
        parameters=_number(fields, "parameters", int),
        miou=_number(fields, "miou", float),
        measured_on=measured_on,
        figures=figures,
        sharper=parse_figures(fields.get("sharper"), categories),
    )


def _categories(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 2 <= len(value) <= 256:
        found = f"{len(value)} of them" if isinstance(value, list | tuple) else repr(value)[:80]
        raise ModelError(f"the card's categories must be a list of 2 to 256 names; found {found}")
    for index, name in enumerate(value):
        good = isinstance(name, str) and name.strip() and len(name) <= 100 and name.isprintable()
        if not good:
            raise ModelError(
                f"category {index} of the card is {name!r:.80}, not a name of 1 to 100 letters"
            )
    return tuple(value)


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


def _number(fields: Mapping[str, Any], field: str, kind: type) -> Any:
    value = fields.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"the card's {field} is {value!r:.80}, not a number")
    return kind(value)
