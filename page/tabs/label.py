"""The first tab: a photo, what labels it, the viewer, and what happens at each change."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from page import photo_texts, texts
from page.components.labelled_example import LabelledExample
from page.components.photo_input import ExampleGallery, PhotoInput
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import EMBEDDED
from page.service.result_cache import SHARPER
from page.tabs import examples
from page.tabs.events import QUEUED, QUIETLY
from page.tabs.label_handlers import Handlers
from page.tabs.model_menu import MENU, OFFER, first_choice, model_choices, offered_model
from viewer import LabelViewer, PixelAnswer

TITLE = "Label"
SIZES = (260, 390, 520, 780, 1040)
ADDRESSED_MODEL = """shown => {
  const asked = new URL(location.href).searchParams.get("model");
  const menu = window.gradio_config.components.find(({ props }) => props.elem_id === "model");
  return menu?.props.choices.some(([, value]) => value === asked) ? asked : shown;
}"""
SHARPER_INFO = "Two sizes averaged: sharper outlines, about three times the time."


class LabelTab:
    """Builds the tab's inside, within a `gr.Tab`.

    Args:
        service: has the networks.
        photos: the folder of the example photos.
        cache: Gradio's folder for files that a visitor may fetch.

    Attributes:
        photo: the photo's input.
        model: the chosen model.
        size: the chosen shorter side; 0 for the model's own.
        first_key: the key of the picture that shows at first; "" for none.
    """

    def __init__(self, service: LabelingService, photos: Path, cache: str) -> None:
        self._folder, self._cache = photos, cache
        alive = LabelledExample(photos)
        first = alive.value(cache) if alive.fits(service.default) else None
        self.first_key = first["id"] if first else ""
        with gr.Row(elem_id="main"):
            with gr.Column(scale=1, min_width=200, elem_id="sidebar"):
                self._build_photo(service, first)
                self.chip = gr.HTML(
                    texts.chip_of("Built-in model") if first else "", elem_id="chip", padding=False
                )
                with gr.Accordion("For the curious", open=False, elem_id="curious"):
                    self._build_choices(service)
                    self.facts = gr.HTML("", elem_id="run-facts")
            with gr.Column(scale=3, min_width=280, elem_id="stage-column"):
                self.viewer = LabelViewer(
                    first,
                    elem_id="viewer",
                    empty_title="Show it a photo",
                    empty_text="It colours everything it knows.",
                )
                self.bars = PixelAnswer(elem_id="bars")

    def _build_photo(self, service: LabelingService, first: dict[str, Any] | None) -> None:
        options = service.options
        self.photo = PhotoInput(
            first["source"] if first else None,
            max_mb=options.max_upload_mb,
            invite=photo_texts.INVITATION if first else "",
            privacy=photo_texts.privacy(options.keep_minutes, options.shared),
            elem_id="photo",
        )
        ExampleGallery(examples.gallery(self._folder, self._cache), elem_id="examples")
        gr.HTML('<div class="pw-caption"></div>', elem_id="example-caption", padding=False)
        gr.HTML(photo_texts.knows_sentence(), elem_id="about-photo", padding=False)

    def _build_choices(self, service: LabelingService) -> None:
        has_sharper = service.sharper_size(EMBEDDED) is not None
        self.model = gr.Dropdown(
            model_choices(service),
            value=first_choice(service),
            label="Who answers",
            elem_id=MENU,
        )
        self.larger = gr.Radio(
            offered_model(service), value=None, show_label=False, container=False, elem_id=OFFER
        )
        self.fetched = gr.HTML("", elem_id="download-note")
        self.size = gr.Dropdown(
            _sizes(service.options.size, sharper=has_sharper),
            value=service.options.size or 0,
            label="How large the model sees your photo",
            elem_id="size",
        )
        # one choice in two places: the switch moves the size, and the size the switch
        self.sharper = gr.Checkbox(
            False,
            label="Sharper",
            info=SHARPER_INFO,
            visible=has_sharper,
            elem_id="sharper",
        )
        size, sharper, moved = self.size, self.sharper, {**QUIETLY, "queue": False}
        sharper.input(None, sharper, size, js=f"on => on ? {SHARPER} : 0", **moved)
        size.input(None, size, sharper, js=f"size => size === {SHARPER}", **moved)

    def listen(self, handlers: Handlers, key: gr.State) -> None:
        """Answer what a visitor does.

        Args:
            handlers: answer it.
            key: holds the key of the answer that shows.
        """
        timer = gr.Timer(1.0, active=False)
        labelling = {
            "fn": handlers.label,
            "inputs": [self.photo, self.model, self.size],
            "outputs": [self.viewer, self.chip, self.facts, key, self.fetched, timer],
            "trigger_mode": "always_last",
            **QUIETLY,
            **QUEUED,
        }
        self.photo.chosen(**labelling)
        gr.on([self.model.change, self.size.change], **labelling)
        self.photo.cancel(handlers.cancel, None, None, **QUIETLY, queue=False)
        self.larger.input(
            handlers.fetch, [self.larger], [self.fetched, timer], **QUIETLY, queue=False
        )
        timer.tick(
            handlers.watch_download,
            [self.larger],
            [self.fetched, timer, self.model, self.larger],
            **QUIETLY,
            queue=False,
        )
        self.viewer.pin(handlers.pixel, [key], [self.bars], **QUIETLY, queue=False)

    def follow_address(self, demo: gr.Blocks) -> None:
        """Choose the model that the page's address names, and name the chosen one there."""
        first = json.dumps(self.model.value)
        demo.load(None, [self.model], [self.model], js=ADDRESSED_MODEL, **QUIETLY)
        self.model.change(
            None,
            [self.model],
            None,
            js=f"""chosen => document.dispatchEvent(
                new CustomEvent("pixelwise:model", {{ detail: {{ first: {first}, chosen }} }}))""",
            **QUIETLY,
        )


def _sizes(own: int | None, *, sharper: bool) -> list[tuple[str, int]]:
    sizes = sorted({*SIZES, *([own] if own else [])})
    several = [("two sizes averaged (sharper)", SHARPER)] if sharper else []
    others = ((f"{size} px · for experiments: often worse", size) for size in sizes)
    return [("the size it was trained for (best)", 0), *several, *others]
