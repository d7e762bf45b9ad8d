"""The choices of the model menus."""

from pathlib import Path
from typing import TYPE_CHECKING

from page.texts import fetch_label, model_label
from segmentation.models.registry import MODELS

if TYPE_CHECKING:
    from page.service.labeling_service import LabelingService

FETCH = "fetch:"
"""Prefix of a choice that downloads the weights of the model named after it."""
QUICK = "deeplabv3_mobilenet_v3_large"
"""The larger model that is offered where the page's default is already available."""
MENU, OFFER = "model", "larger"
"""The elements' ids of the menu and of the offer below it."""


def model_choices(service: "LabelingService") -> list[tuple[str, str]]:
    """Return the (label, value) of each model in a menu."""
    return [
        (model_label(name, service.is_ready(name)), Path(name).name)
        for name in service.model_names()
    ]


def first_choice(service: "LabelingService") -> str:
    """Return the menu's first value: the page's default, or its fallback."""
    from page.service.models.model_pool import EMBEDDED

    name = service.default
    return Path(name if service.is_ready(name) else EMBEDDED).name


def offered_model(service: "LabelingService") -> list[tuple[str, str]]:
    """Return the (label, value) of the larger model that can be downloaded, if there is one."""
    name = service.default if _can_be_fetched(service.default) else QUICK
    known = name in service.pool.names()
    return [(fetch_label(name), f"{FETCH}{name}")] if known else []


def hidden_choices(service: "LabelingService") -> dict[str, set[str]]:
    """Return the choices that this visitor does not see now, by the element's id.

    The menu holds models that are available; the offer holds one that can be downloaded.
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
