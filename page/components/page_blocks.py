"""Gradio's page with error messages of our own, and with request locality for its handlers."""

import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from page import texts
from page.gradio_internals import ComponentProcessingError
from page.requests.locality import request_locality
from page.service import error_log

log = logging.getLogger(__name__)


class Page(gr.Blocks):
    """A `gr.Blocks` for a public page.

    Gradio prints a trace for every failed call, such as one with a missing value or an unknown
    choice. This class sends the visitor a message and logs one line.
    """

    hidden: Callable[[], set[str]] = set
    """Returns the menu choices that this visitor may not see; see `LabelingService.hidden`."""

    hidden_in: Callable[[], dict[str, set[str]]] = dict
    """The same for single menus: element's id -> choices; see `model_menu.hidden_choices`."""

    @property
    def config(self) -> Any:
        """The page's configuration without the choices hidden from this visitor."""
        hidden, hidden_in = self.hidden(), self.hidden_in()
        return _without(self._config, hidden, hidden_in) if hidden or hidden_in else self._config

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Run a call as Gradio does, and translate its errors.

        Raises:
            gr.Error: the call failed; the message is for the visitor.
        """
        request = kwargs.get("request")
        scope = getattr(getattr(request, "request", None), "scope", None)
        try:
            with request_locality(scope or {}):
                return await super().process_api(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            error.print_exception = False
            raise
        except StopAsyncIteration:
            raise
        except ComponentProcessingError as error:  # invalid values from the visitor
            log.info("a call could not be read: %s", error_log.in_short(error))
            raise gr.Error(texts.ODD_CALL, print_exception=False) from error
        except Exception as error:
            name = getattr(block_fn, "api_name", None) or getattr(block_fn, "name", "a call")
            error_log.tell(log, f"{name} failed", error)
            raise gr.Error(texts.ODD_CALL, print_exception=False) from error


def _without(
    config: dict[str, Any], hidden: set[str], hidden_in: dict[str, set[str]]
) -> dict[str, Any]:
    """Return a copy of a page's configuration without the hidden menu choices."""
    components = [
        _filter(component, hidden | hidden_in.get(component.get("props", {}).get("elem_id"), set()))
        for component in config.get("components", ())
    ]
    return {**config, "components": components}


def _filter(value: Any, hidden: set[str]) -> Any:
    """Return a copy without the list items that are hidden choices or (label, choice) pairs."""
    if isinstance(value, dict):
        return {key: _filter(item, hidden) for key, item in value.items()}
    if isinstance(value, list):
        return [_filter(item, hidden) for item in value if not _is_hidden(item, hidden)]
    return value


def _is_hidden(choice: Any, hidden: set[str]) -> bool:
    if isinstance(choice, list | tuple):
        return len(choice) == 2 and isinstance(choice[1], str) and choice[1] in hidden
    return isinstance(choice, str) and choice in hidden
