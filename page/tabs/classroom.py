"""The classroom: nine views that lead from a pixel's label back to why."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from page.classroom import text as words
from page.classroom.session import ClassroomSession as Session
from page.classroom.session import MissingInputError, default_class, selected_pixel
from page.classroom.views import Views
from page.components.html_board import HtmlBoard, MaskPainter
from page.service.labeling_service import LabelingService
from page.service.result_cache import LabelResult
from page.tabs.cancel_registry import CancelRegistry
from page.tabs.events import QUIETLY
from page.tabs.examples import offered
from page.theme import read_static
from segmentation import PixelwiseError, display_name
from segmentation.explain.perturbations import PERTURBATIONS
from viewer import PixelBars, keep_file, pixel_value

HEAVY: dict[str, Any] = {**QUIETLY, "concurrency_id": "classroom", "concurrency_limit": 1}
"""One heavy view at a time; the service lets a visitor's photo in between two of its steps."""

TITLE = "Classroom"
OWN_LABEL = -1
STOPPED = "document.querySelectorAll('#classroom .cl-status').forEach((e) => e.remove())"
RESTORE = """() => { try {
  if (sessionStorage.getItem("pixelwise-projector"))
    document.documentElement.classList.add("pw-projector");
} catch {} }"""


class Classroom:
    """Builds the classroom's part of the page inside a `gr.Blocks`.

    Args:
        service: answers the photos.
        demo: the page.
        rooms: the page's tabs, one of which the classroom is.
        key: names the answer that the main view shows.
        photo: the main view's photo input; an example chosen here goes there.
        examples: the folder of the example photos.
    """

    def __init__(
        self,
        service: LabelingService,
        *,
        demo: gr.Blocks,
        rooms: gr.Tabs,
        key: gr.State,
        photo: gr.Image,
        examples: Path,
    ) -> None:
        lab = Session(service)
        self.lab, self.key, self.photo, self.examples = lab, key, photo, examples
        self.views = Views(lab, examples)
        self.rooms, self.cache = rooms, demo.GRADIO_CACHE
        self.pixel = gr.State(None)
        self.open = gr.State(False)  # whether the classroom is the room that shows
        self.shown = gr.State("")  # the answer that it shows
        with gr.Column(elem_id="classroom"):
            self._build()
        self._listen()
        demo.load(None, None, None, js=RESTORE, **QUIETLY)

    def _build(self) -> None:
        HtmlBoard(words.masthead(), js_on_load=read_static("classroom_nav.js"), elem_id="cl-head")
        with gr.Row(elem_id="cl-body"):
            with gr.Column(scale=1, min_width=300, elem_id="cl-side"):
                with gr.Row(elem_id="cl-examples") as self.offered:
                    self.taken = [
                        (gr.Button(example.title, size="sm"), path)
                        for example, path in offered(self.examples)
                    ]
                self.picker = HtmlBoard(words.note(words.NO_PHOTO, "empty"), elem_id="cl-picker")
                self.bars = PixelBars(elem_id="cl-bars")
            with gr.Column(scale=3, min_width=320, elem_id="cl-views"):
                self.boards = {
                    number: self._view(number) for number in range(1, len(words.VIEWS) + 1)
                }
        HtmlBoard(words.glossary(), elem_id="cl-glossary")

    def _view(self, number: int) -> HtmlBoard:
        """A view: introduction, what can be set, a board for the answer."""
        with gr.Column(elem_id=f"cl-view-{number}", elem_classes="cl-view"):
            HtmlBoard(words.intro(number), elem_classes="cl-intro")
            getattr(self, f"_controls_{number}", lambda: None)()
            board = HtmlBoard(elem_id=f"cl-board-{number}")
            if number == 9:
                self._controls_foreign()
        return board

    def _controls_2(self) -> None:
        self.shown_class = gr.Dropdown([], label="Heat map of", elem_id="cl-class")

    def _controls_3(self) -> None:
        self.look_inside = gr.Button("Open the microscope", variant="primary", elem_id="cl-open")
        self.switches = gr.CheckboxGroup(
            [], label="Branches that are on", visible=False, elem_id="cl-branches"
        )

    def _controls_4(self) -> None:
        with gr.Row(elem_classes="cl-controls"):
            self.asked_class = gr.Dropdown([], label="Ask for the logit of", elem_id="cl-asked")
            self.trace, self.stop_trace = _run_and_stop("Follow the gradient", "cl-trace")

    def _controls_5(self) -> None:
        with gr.Row(elem_classes="cl-controls"):
            self.dissect, self.stop_dissect = _run_and_stop("Look inside", "cl-dissect")

    def _controls_6(self) -> None:
        with gr.Row(elem_classes="cl-controls"):
            self.walk, self.stop_walk = _run_and_stop("Run all five sizes", "cl-walk")

    def _controls_7(self) -> None:
        with gr.Row(elem_classes="cl-controls"):
            self.models = gr.Dropdown(
                [], label="Two or three models", multiselect=True, elem_id="cl-models"
            )
            self.contest, self.stop_contest = _run_and_stop("Compare", "cl-contest")

    def _controls_8(self) -> None:
        self.painted_class = gr.Dropdown([], label="You paint", elem_id="cl-painted")
        self.painter = MaskPainter(elem_id="cl-painter")

    def _controls_9(self) -> None:
        with gr.Row(elem_id="cl-breaks"):
            self.breaks = [
                (gr.Button(one.title, size="sm", elem_id=f"cl-break-{name}"), [name])
                for name, one in PERTURBATIONS.items()
            ]
            every = gr.Button("All eight", size="sm", variant="primary", elem_id="cl-break-all")
            self.breaks.append((every, list(PERTURBATIONS)))
            self.stop_break = gr.Button("Stop", size="sm", elem_id="cl-break-stop")

    def _controls_foreign(self) -> None:
        HtmlBoard(
            "<h3>Nothing of the 20 classes</h3><p>Two example photos show nothing that the "
            "network was taught, and it must answer anyway.</p>",
            elem_classes="cl-intro",
        )
        with gr.Row(elem_classes="cl-controls"):
            self.strangers = [
                (gr.Button(name.capitalize(), size="sm", elem_id=f"cl-foreign-{name}"), name)
                for name in words.NOTHING_HERE
            ]
        self.foreign = HtmlBoard(elem_id="cl-board-foreign")

    def _listen(self) -> None:
        self._listen_to_photo()
        key, pixel, boards, view = self.key, self.pixel, self.boards, self.views.event
        heat = [key, self.shown_class]
        self.shown_class.input(view("look.maps"), heat, boards[2], **QUIETLY, concurrency_limit=4)
        opened = self.look_inside.click(self.open_microscope, [key], [self.switches], **QUIETLY)
        scope = {"fn": view("look.microscope"), "outputs": boards[3], **HEAVY}
        scope["inputs"] = [key, pixel, self.switches]
        opened.then(**scope)
        self.switches.input(**scope, trigger_mode="always_last")
        asked, rivals = [key, pixel, self.asked_class], [key, self.models]
        heavy = [
            (self.trace, self.stop_trace, "look.receptive", asked, boards[4]),
            (self.dissect, self.stop_dissect, "runs.inside", [key], boards[5]),
            (self.walk, self.stop_walk, "runs.resolution", [key], boards[6]),
            (self.contest, self.stop_contest, "comparison.run", rivals, boards[7]),
        ]
        for button, stop, name, inputs, board in heavy:
            stops = _stoppable(stop)
            button.click(stops.stoppable(view(name)), inputs, board, **HEAVY)
        self.painter.submitted(self.grade, [key, self.painted_class], boards[8], **QUIETLY)
        stops = _stoppable(self.stop_break)
        for button, names in self.breaks:
            button.click(stops.stoppable(self._breaking(names)), [key], boards[9], **HEAVY)
        for button, name in self.strangers:
            button.click(self._foreign(name), [key], self.foreign, **HEAVY)

    def _listen_to_photo(self) -> None:
        refreshed = [
            *(self.picker, self.bars, self.pixel, *self.boards.values(), self.switches),
            *(self.shown_class, self.asked_class, self.models, self.painted_class, self.painter),
        ]
        run = {"fn": self.refresh, "outputs": [self.shown, *refreshed]}
        inputs = [self.key, self.shown, self.open]
        self.rooms.select(self.enter, None, self.open, **QUIETLY).then(
            **run, inputs=inputs, **QUIETLY
        )
        self.key.change(**run, inputs=inputs, **QUIETLY, trigger_mode="always_last")
        for button, path in self.taken:
            button.click(self._example(path), None, self.photo, **QUIETLY)
        for board in (self.picker, *self.boards.values()):
            chosen_now = board.pick(self.picked, [self.key], [self.pixel, self.bars], **QUIETLY)
            chosen_now.then(
                self.follow, [self.key, self.pixel, self.switches], self.boards[3], **HEAVY
            )

    def enter(self, event: gr.SelectData) -> bool:
        """Whether the room that was opened is the classroom."""
        return event.value == TITLE

    def refresh(self, key: str, shown: str, is_open: bool) -> Any:
        """Everything that hangs on the photo, when another one is shown and somebody looks."""
        if not is_open or key == shown:
            return [gr.skip()] * (10 + len(self.boards))
        cleared = [gr.update(value="") for _ in self.boards]
        off = gr.update(choices=[], value=[], visible=False)
        try:
            answer = self.lab.entry(key)
        except MissingInputError as error:
            empty = gr.update(choices=[], value=None)
            picker = words.note(str(error), "empty")
            return [key, picker, None, None, *cleared, off, *[empty] * 4, None]
        cleared[0] = _last(self.views.look.steps(key))
        cleared[1] = _last(self.views.look.maps(key, None))
        picker = _last(self.views.look.picker(key))
        return [key, picker, None, None, *cleared, off, *self._choices(key, answer)]

    def _choices(self, key: str, answer: LabelResult) -> list[Any]:
        """What the menus offer for this photo, and the painter."""
        categories = answer.result.categories
        classes = [(display_name(name), index) for index, name in enumerate(categories)]
        drawn = self.views.grader.classes(key)
        return [
            gr.update(choices=classes, value=default_class(answer.result)),
            gr.update(choices=[("the pixel's own label", OWN_LABEL), *classes], value=OWN_LABEL),
            gr.update(
                choices=self.views.comparison.choices(key), value=self.views.comparison.first(key)
            ),
            gr.update(choices=drawn, value=drawn[0][1] if drawn else None),
            self.views.grader.canvas(key),
        ]

    def picked(self, key: str, event: gr.EventData) -> tuple[Any, Any]:
        """The chosen pixel and its probabilities."""
        try:
            answer = self.lab.entry(key)
            y, x = selected_pixel((event.y, event.x), answer)
        except (PixelwiseError, KeyError, TypeError, ValueError):
            return None, {"error": words.LABEL_FIRST}
        return [y, x], pixel_value(answer.result, y, x, answer.card.palette_array)

    def open_microscope(self, key: str) -> Any:
        """The switches, all on; the view itself says why there are none."""
        try:
            names = self.views.look.branches(key)
        except PixelwiseError:
            return gr.update(choices=[], value=[], visible=False)
        return gr.update(choices=names, value=names, visible=True)

    def follow(self, key: str, pixel: Any, on: list[str]) -> Iterator[Any]:
        """Move the microscope with the pixel, once it is open."""
        if not (key and self.lab.has_encoded(key) and on):
            yield gr.skip()
            return
        yield from self.views.look.microscope(key, pixel, on)

    def grade(self, key: str, index: int | None, event: gr.EventData) -> Iterator[str]:
        """The grade of what the painter sent."""
        yield from self.views.grader.graded(key, index, getattr(event, "paint", None))

    def _example(self, path: Path) -> Callable[[], str]:
        """Hands an example photo to the main view, by way of the cache, as uploads go."""
        return lambda: str(keep_file(path.read_bytes(), path.name, self.cache))

    def _breaking(self, names: list[str]) -> Callable[[str], Iterator[str]]:
        def run(key: str) -> Iterator[str]:
            yield from self.views.runs.broken(key, names)

        return run

    def _foreign(self, name: str) -> Callable[[str], Iterator[str]]:
        def run(key: str) -> Iterator[str]:
            yield from self.views.runs.foreign(key, name)

        return run


def _run_and_stop(title: str, elem_id: str) -> tuple[gr.Button, gr.Button]:
    return (
        gr.Button(title, variant="primary", elem_id=elem_id),
        gr.Button("Stop", elem_id=f"{elem_id}-stop"),
    )


def _stoppable(stop: gr.Button) -> CancelRegistry:
    """What a stop button ends: the runs that are made `stoppable` by what is returned."""
    stops = CancelRegistry()
    # A step that was on its way when the button was pressed still arrives: clear up after it, too.
    clear = f"() => {{ {STOPPED}; setTimeout(() => {STOPPED}, 250); }}"
    ended = stop.click(stops.stop, None, None, js=clear, queue=False, **QUIETLY)
    ended.then(None, None, None, js=clear, **QUIETLY)
    return stops


def _last(steps: Iterator[str]) -> str:
    *_, last = steps
    return last
