"""The 21 categories of PASCAL VOC, and how a person reads their names."""

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
"""Index to name, spelled as in torchvision's weights (`weights.meta["categories"]`)."""

BACKGROUND_NAMES = ("__background__", "background")
"""What a class is called that means "none of the others"."""

_DISPLAY_NAMES = {
    "__background__": "background",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "tvmonitor": "TV monitor",
}


def display_name(category: str) -> str:
    """The words to show for a category; a name without an entry is shown as it is.

    Args:
        category: A name as the model's card spells it, such as "diningtable".

    Returns:
        The name for a legend, such as "dining table".
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
    """The words for several of a VOC category, such as "dining tables"; others as they are.

    Args:
        category: A name as the model's card spells it.
    """
    if category not in VOC_CATEGORIES:
        return display_name(category)
    return _PLURALS.get(category, f"{display_name(category)}s")
