"""Put the page together from its parts. Importing this module builds nothing."""

import gradio as gr

from page import live_texts, texts
from page.api import Api, add_endpoints
from page.components.footer import footer
from page.components.page_blocks import Page
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import ModelPool
from page.service.queue.sessions import Sessions
from page.tabs import classroom, label, photo_batch
from page.tabs.examples import examples_folder
from page.tabs.label_handlers import Handlers
from page.tabs.live import LiveTab
from page.tabs.model_menu import hidden_choices
from page.tabs.photo_batch_job import PhotoBatch


def build_demo(options: Options, pool: ModelPool | None = None) -> gr.Blocks:
    """The page.

    Args:
        options: what was set on the command line.
        pool: what labels the photos: None for networks in this process; `deploy` hands over
            networks on other machines.

    Returns:
        Blocks that wait for `launch()` or `gr.mount_gradio_app()`.
    """
    photos = examples_folder()
    service = LabelingService(options, pool)
    with Page(title=texts.TITLE, analytics_enabled=False) as demo:
        sessions = Sessions()
        handlers = Handlers(service, demo.GRADIO_CACHE, sessions)
        gr.HTML(texts.MASTHEAD, elem_id="masthead")
        key = gr.State("")
        with gr.Tabs(elem_id="tabs") as rooms:
            with gr.Tab(label.TITLE, id="label"):
                first = label.LabelTab(service, photos, demo.GRADIO_CACHE)
            with gr.Tab(photo_batch.TITLE, id="several-photos-tab"):
                several = PhotoBatch(service, demo.GRADIO_CACHE, sessions)
                photo_batch.add_several(several, first.model, first.size)
            with gr.Tab(classroom.TITLE, id="classroom"):
                classroom.Classroom(
                    service, demo=demo, rooms=rooms, key=key, photo=first.photo, examples=photos
                )
            with gr.Tab(live_texts.TITLE, id="live"):
                moving = LiveTab(service, demo=demo, sessions=sessions)
                demo.live, demo.clips = moving.live, moving.clips
        gr.HTML(footer(options, photos), elem_id="footer", padding=False)
        first.listen(handlers, key)
        first.follow_address(demo)
        demo.unload(handlers.leave)
        demo.service, demo.sessions = service, sessions
        demo.hidden = service.hidden
        demo.hidden_in = lambda: hidden_choices(service)
        add_endpoints(Api(service, demo.GRADIO_CACHE, sessions))
    return demo
