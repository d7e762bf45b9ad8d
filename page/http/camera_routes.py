"""The three camera routes: plain bytes in, plain bytes out.

Gradio's own events would carry each frame as base64 in JSON and keep it as a component's value.
`AccessMiddleware` wraps these routes too: bodies have at most 1 MB, and `--auth` applies.
"""

import logging
from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from page import live_texts
from page.requests.locality import request_locality
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

Endpoint = Callable[[Request], Awaitable[Response]]


def live_routes(live: CameraSessions) -> list[Route]:
    """Return the routes for `FastAPI(routes=...)`.

    Args:
        live: the cameras' sessions.

    Returns:
        `start?model=` takes a frame and returns JSON; `frame?id=` takes a frame and returns a PNG,
        or 204 if the frame was dropped; `stop?id=` returns 204. Errors are JSON with a `text`.
    """
    limiter = anyio.CapacityLimiter(MAX_CAMERAS + 2)

    async def start(request: Request) -> Response:
        model, data = request.query_params.get("model", ""), await request.body()
        return JSONResponse(
            await anyio.to_thread.run_sync(live.start, model, data, limiter=limiter)
        )

    async def frame(request: Request) -> Response:
        ident, data = request.query_params.get("id", ""), await request.body()
        labeled = await anyio.to_thread.run_sync(live.frame, ident, data, limiter=limiter)
        if labeled is None:
            return Response(status_code=204)
        png, seconds = labeled
        headers = {"cache-control": "no-store", "x-network-ms": f"{seconds * 1000:.1f}"}
        return Response(png, media_type="image/png", headers=headers)

    async def stop(request: Request) -> Response:
        live.stop(request.query_params.get("id", ""))
        return Response(status_code=204)

    return [
        Route(f"{PATH}/{endpoint.__name__}", _with_error_responses(endpoint), methods=["POST"])
        for endpoint in (start, frame, stop)
    ]


def _with_error_responses(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint so that its errors become JSON responses."""

    async def wrapped(request: Request) -> Response:
        with request_locality(request.scope):
            try:
                return await endpoint(request)
            except ClientDisconnect:
                raise  # the middleware has refused the body and sends the response
            except CameraExpiredError as error:
                return _error_response(410, str(error))
            except TooManyCamerasError as error:
                return _error_response(429, str(error))
            except PixelwiseError as error:
                status = 503 if isinstance(error, ShuttingDownError) else 422
                return _error_response(status, error_messages.told(log, error))
            except Exception as error:
                error_log.tell(log, "a frame could not be labelled", error)
                return _error_response(503, live_texts.FAILED)

    return wrapped


def _error_response(status: int, text: str) -> JSONResponse:
    return JSONResponse({"text": text}, status)
