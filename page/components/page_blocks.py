"""Gradio's page, with errors told in a sentence and who asks known to all who work."""

import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from page import texts
from page.gradio_internals import ComponentProcessingError
from page.requests.locality import asked_by
from page.service import error_log

log = logging.getLogger(__name__)


class Page(gr.Blocks):
    """A `gr.Blocks` for strangers.

    Gradio prints the trace of whatever fails within a call: a missing value, a choice that a menu
    does not have. Here the visitor gets a sentence, and the log one line.
    """

    hidden: Callable[[], set[str]] = set
    """The choices of menus that the one who asks may not see; see `LabelingService.hidden`."""

    hidden_in: Callable[[], dict[str, set[str]]] = dict
    """The same for single menus: element's id -> choices; see `model_menu.hidden_choices`."""

    @property
    def config(self) -> Any:
        """What the page is made from, as the one who asks may see it."""
        hidden, hidden_in = self.hidden(), self.hidden_in()
        return _without(self._config, hidden, hidden_in) if hidden or hidden_in else self._config

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config

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
        except gr.Error as error:
            error.print_exception = False
            raise
        except StopAsyncIteration:
            raise
        except ComponentProcessingError as error:  # of what the visitor has sent
            log.info("a call could not be read: %s", error_log.in_short(error))
            raise gr.Error(texts.ODD_CALL, print_exception=False) from error
        except Exception as error:
            name = getattr(block_fn, "api_name", None) or getattr(block_fn, "name", "a call")
            error_log.tell(log, f"{name} could not be answered", error)
            raise gr.Error(texts.ODD_CALL, print_exception=False) from error


def _without(
    config: dict[str, Any], hidden: set[str], hidden_in: dict[str, set[str]]
) -> dict[str, Any]:
    """A page's configuration whose menus lack some choices; the one given stays as it is."""
    components = [
        _thinned(one, hidden | hidden_in.get(one.get("props", {}).get("elem_id"), set()))
        for one in config.get("components", ())
    ]
    return {**config, "components": components}


def _thinned(value: Any, hidden: set[str]) -> Any:
    """The same without the items of lists that are, or stand for, what is hidden."""
    if isinstance(value, dict):
        return {key: _thinned(one, hidden) for key, one in value.items()}
    if isinstance(value, list):
        return [_thinned(one, hidden) for one in value if not _is_one_of(one, hidden)]
    return value


def _is_one_of(choice: Any, hidden: set[str]) -> bool:
    if isinstance(choice, list | tuple):
        return len(choice) == 2 and isinstance(choice[1], str) and choice[1] in hidden
    return isinstance(choice, str) and choice in hidden
