"""What the menus of models offer."""

from pathlib import Path
from typing import TYPE_CHECKING

from page.texts import model_label

if TYPE_CHECKING:
    from page.service.labeling_service import LabelingService


def model_choices(service: "LabelingService") -> list[tuple[str, str]]:
    """The models that a menu offers: (how it is named, what the server knows it by)."""
    return [
        (model_label(name, service.is_ready(name)), Path(name).name)
        for name in service.model_names()
    ]
