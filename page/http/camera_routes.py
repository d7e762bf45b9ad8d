"""The cameras' three addresses: plain bytes in, plain bytes out.

Gradio's own events would carry each frame as base64 within JSON and keep it as a component's value.
The guard stands before these routes as before all others: bodies of a megabyte at most, and with
`--auth` only those who have logged in.
"""

import logging
from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from page import live_texts as words
from page.requests.locality import asked_by
from page.service import error_log, error_messages
from page.service.errors import ShuttingDownError
from page.tabs.camera_sessions import (
    MAX_CAMERAS,
    CameraExpiredError,
    CameraSessions,
    TooManyCamerasError,
)
from segmentation import PixelwiseError

PATH = "/live"
log = logging.getLogger(__name__)

Answering = Callable[[Request], Awaitable[Response]]


def live_routes(live: CameraSessions) -> list[Route]:
    """Routes for `FastAPI(routes=...)`.

    Args:
        live: answers them.

    Returns:
        `start?model=` takes a frame and answers with JSON; `frame?id=` takes one and answers with
        a PNG, or 204 where it was dropped; `stop?id=` answers 204. Errors are JSON with a `text`.
    """
    limiter = anyio.CapacityLimiter(MAX_CAMERAS + 2)

    async def start(request: Request) -> Response:
        model, data = request.query_params.get("model", ""), await request.body()
        return JSONResponse(
            await anyio.to_thread.run_sync(live.start, model, data, limiter=limiter)
        )

    async def frame(request: Request) -> Response:
        ident, data = request.query_params.get("id", ""), await request.body()
        done = await anyio.to_thread.run_sync(live.frame, ident, data, limiter=limiter)
        if done is None:
            return Response(status_code=204)
        packed, seconds = done
        headers = {"cache-control": "no-store", "x-network-ms": f"{seconds * 1000:.1f}"}
        return Response(packed, media_type="image/png", headers=headers)

    async def stop(request: Request) -> Response:
        live.stop(request.query_params.get("id", ""))
        return Response(status_code=204)

    return [
        Route(f"{PATH}/{one.__name__}", _told(one), methods=["POST"])
        for one in (start, frame, stop)
    ]


def _told(answer: Answering) -> Answering:
    """Turn errors into sentences."""

    async def answering(request: Request) -> Response:
        try:
            with asked_by(request.scope):
                return await answer(request)
        except ClientDisconnect:
            raise  # the guard has stopped the body, and answers itself
        except CameraExpiredError as error:
            return _sentence(410, str(error))
        except TooManyCamerasError as error:
            return _sentence(429, str(error))
        except ShuttingDownError as error:
            return _sentence(503, error_messages.told(log, error))
        except PixelwiseError as error:
            with asked_by(request.scope):
                return _sentence(422, error_messages.told(log, error))
        except Exception as error:
            error_log.tell(log, "a frame could not be labelled", error)
            return _sentence(503, words.FAILED)

    return answering


def _sentence(status: int, text: str) -> JSONResponse:
    return JSONResponse({"text": text}, status)
