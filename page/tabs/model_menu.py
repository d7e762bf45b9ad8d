"""What the menus of models offer."""

from pathlib import Path
from typing import TYPE_CHECKING

from page.texts import fetch_label, model_label
from segmentation.models.registry import MODELS

if TYPE_CHECKING:
    from page.service.labeling_service import LabelingService

FETCH = "fetch:"
"""Before the name of a model: fetch its weights, do not label with it yet."""
QUICK = "deeplabv3_mobilenet_v3_large"
"""The larger model that is offered where the page's own first choice is here already."""
MENU, OFFER = "model", "larger"
"""The elements' ids of the menu and of the offer below it."""


def model_choices(service: "LabelingService") -> list[tuple[str, str]]:
    """The models that a menu offers: (how it is named, what the server knows it by)."""
    return [
        (model_label(name, service.is_ready(name)), Path(name).name)
        for name in service.model_names()
    ]


def first_choice(service: "LabelingService") -> str:
    """What the menu has chosen at first: the page's default, or the model that answers for it."""
    from page.service.models.model_pool import EMBEDDED

    name = service.default
    return Path(name if service.is_ready(name) else EMBEDDED).name


def offered_model(service: "LabelingService") -> list[tuple[str, str]]:
    """The one larger model that may be fetched, as the only choice of a group; or none."""
    name = service.default if _can_be_fetched(service.default) else QUICK
    known = name in service.pool.names()
    return [(fetch_label(name), f"{FETCH}{name}")] if known else []


def hidden_choices(service: "LabelingService") -> dict[str, set[str]]:
    """By the element's id: the choices that the one who asks is not shown at the moment.

    The menu names models that can answer; the offer one that cannot, where it may be fetched.
    """
    names = service.pool.names()
    ready = {name for name in names if service.is_ready(name)}
    offered = set(names) - ready if service.may_offer_downloads() else set()
    return {
        MENU: {Path(name).name for name in names if name not in ready},
        OFFER: {f"{FETCH}{name}" for name in names if name not in offered},
    }


def _can_be_fetched(name: str) -> bool:
    return name in MODELS and MODELS[name].url is not None
