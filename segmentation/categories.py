"""The 21 categories of PASCAL VOC, and their names for display."""

VOC_CATEGORIES: tuple[str, ...] = (
    "__background__",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Category names by index, spelled as in torchvision's `weights.meta["categories"]`."""

BACKGROUND_NAMES = ("__background__", "background")
"""Names of a class that means "none of the others"."""

_DISPLAY_NAMES = {
    "__background__": "background",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "tvmonitor": "TV monitor",
}


def display_name(category: str) -> str:
    """Return the display name of a category; other names are returned unchanged.

    Args:
        category: name as in the model's card, such as "diningtable".

    Returns:
        Name for a legend, such as "dining table".
    """
    return _DISPLAY_NAMES.get(category, category)


_PLURALS = {
    "bus": "buses",
    "diningtable": "dining tables",
    "person": "people",
    "pottedplant": "potted plants",
    "sheep": "sheep",
    "tvmonitor": "TV monitors",
}


def plural_name(category: str) -> str:
    """Return the plural of a VOC category, such as "dining tables"; others in the singular.

    Args:
        category: name as in the model's card.
    """
    if category not in VOC_CATEGORIES:
        return display_name(category)
    return _PLURALS.get(category, f"{display_name(category)}s")
