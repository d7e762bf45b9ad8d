"""The classroom's views, imported on first use so that the page starts without torch."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page.classroom.session import ClassroomSession

if TYPE_CHECKING:
    from page.classroom.comparison import Compare
    from page.classroom.network_views import NetworkViews
    from page.classroom.painting import Grader
    from page.classroom.pixel_views import PixelViews


class Views:
    """All views of the classroom.

    Args:
        lab: the results and networks.
        examples: the folder of the example photos.
    """

    def __init__(self, lab: ClassroomSession, examples: Path) -> None:
        self._lab = lab
        self._examples = examples

    @functools.cached_property
    def look(self) -> "PixelViews":
        """Views that draw a result and one of its pixels."""
        from page.classroom.pixel_views import PixelViews

        return PixelViews(self._lab)

    @functools.cached_property
    def runs(self) -> "NetworkViews":
        """Views that run networks."""
        from page.classroom.network_views import NetworkViews

        return NetworkViews(self._lab, self._examples)

    @functools.cached_property
    def comparison(self) -> "Compare":
        """Models side by side."""
        from page.classroom.comparison import Compare

        return Compare(self._lab)

    @functools.cached_property
    def grader(self) -> "Grader":
        """Grades of painted masks."""
        from page.classroom.painting import Grader

        return Grader(self._lab, self._examples)

    def event(self, name: str) -> Callable[..., Iterator[str]]:
        """Return a view as the function of a Gradio event.

        Args:
            name: group and view, such as "look.maps".
        """
        group, view = name.split(".")

        def run(*inputs: Any) -> Iterator[str]:
            yield from getattr(getattr(self, group), view)(*inputs)

        run.__name__ = view  # Gradio names the endpoint by it
        return run
