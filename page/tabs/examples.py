"""The example photos: titles, captions, and which are tricky.

Where they come from and their licences: `examples/CREDITS.md`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viewer.payload import file_value


@dataclass(frozen=True)
class Example:
    """An example photo.

    Attributes:
        file: its name in the folder of examples.
        title: what the page calls it: one to three words.
        caption: one or two sentences on what to look at.
        shows: the classes that the built-in model finds in it, each on at least 5 % of the pixels,
            by their names in the model's card. Background is not among them.
        tricky: whether its point is what the model cannot know.
    """

    file: str
    title: str
    caption: str
    shows: tuple[str, ...] = ()
    tricky: bool = False

    @property
    def told(self) -> str:
        """The caption, with a word before it where the photo is tricky."""
        return f"Tricky: {self.caption}" if self.tricky else self.caption


EXAMPLES = (
    Example(
        "motorcycle.jpg",
        "Motorbike",
        "The motorbike stands out from a full garage. The bench and the shelves are not among the "
        "20 things: they are background.",
        ("motorbike",),
    ),
    Example(
        "dogs.jpg",
        "Two dogs",
        "Two dogs become one area: a model names a class for each pixel and counts no animals. "
        "The built-in model takes a piece of the curtain along.",
        ("dog",),
    ),
    Example(
        "workers.jpg",
        "At work",
        "Two women and a man. The man and the woman before him touch in the picture, so they "
        "become one area; the built-in model takes the metal between them along.",
        ("person",),
    ),
    Example(
        "astronaut.jpg",
        "Astronaut",
        "The space suit belongs to the person; helmet and space shuttle are background. At the "
        "left edge the built-in model takes a piece of the flag along.",
        ("person",),
    ),
    Example(
        "chelsea.jpg",
        "Cat",
        "Whiskers are too thin for the model: look at the outline on both sides.",
        ("cat",),
    ),
    Example(
        "grace_hopper.jpg",
        "Portrait",
        "An outline is a guess where dark meets dark: for the built-in model a piece of the flag "
        "joins the shoulder, and the lower edge of the uniform is lost.",
        ("person",),
    ),
    Example(
        "coffee.jpg",
        "Cup",
        "A cup is not among the 20 things. The model must name one of them or background, and is "
        "unsure which.",
        ("diningtable", "bottle"),
        tricky=True,
    ),
    Example(
        "rocket.jpg",
        "Rocket",
        "A rocket is not among the 20 things. Nearly all of it stays background, and the model is "
        "sure of that: sure does not mean right.",
        tricky=True,
    ),
)
"""In the order in which the page offers them."""


def examples_folder() -> Path:
    """The folder of the example photos, of `truth/` and of `CREDITS.md`.

    An installed package holds them as `page/example_photos` (`package-dir` in `pyproject.toml`); a
    checkout, and an editable install of one, has them as `examples` beside `page`.
    """
    packaged = Path(__file__).parent.parent / "example_photos"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"


def offered(folder: Path) -> list[tuple[Example, Path]]:
    """The example photos that a folder has.

    Args:
        folder: the folder of examples.

    Returns:
        Each example with its file, in the page's order. An example whose file was taken out of the
        folder is left out.
    """
    found = ((example, folder / example.file) for example in EXAMPLES)
    return [(example, path) for example, path in found if path.is_file()]


def gallery(folder: Path, cache: str) -> dict[str, Any]:
    """The value of the page's `ExampleGallery`.

    Args:
        folder: the folder of examples; its folder `labelled/thumbs` has the thumbnails.
        cache: Gradio's folder for files that a visitor may fetch.
    """
    rows = []
    for example, path in offered(folder):
        thumb = folder / "labelled" / "thumbs" / f"{path.stem}.webp"
        shown = thumb if thumb.is_file() else path
        rows.append(
            {
                "name": example.file,
                "title": example.title,
                "told": example.told,
                "tricky": example.tricky,
                "photo": file_value(path.read_bytes(), path.name, cache),
                "thumb": file_value(shown.read_bytes(), shown.name, cache),
            }
        )
    return {"examples": rows}
