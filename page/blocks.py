"""Gradio's page, with errors told in a sentence and who asks known to all who work."""

import logging
from typing import Any

import gradio as gr
from gradio.exceptions import Error

from . import trouble, words
from .home import asked_by

log = logging.getLogger(__name__)


class Page(gr.Blocks):
    """A `gr.Blocks` for strangers.

    Gradio prints the trace of whatever fails within a call: a missing value, a choice that a menu
    does not have. Here the visitor gets a sentence, and the log one line.
    """

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """As Gradio's own.

        Raises:
            gr.Error: whatever failed, with words for the visitor.
        """
        request = kwargs.get("request")
        scope = getattr(getattr(request, "request", None), "scope", None)
        try:
            with asked_by(scope or {}):
                return await super().process_api(block_fn, inputs, *args, **kwargs)
        except Error as error:
            error.print_exception = False
            raise
        except StopAsyncIteration:
            raise
        except Exception as error:
            name = getattr(block_fn, "api_name", None) or getattr(block_fn, "name", "a call")
            trouble.tell(log, f"{name} could not be answered", error)
            raise gr.Error(words.ODD_CALL, print_exception=False) from error
