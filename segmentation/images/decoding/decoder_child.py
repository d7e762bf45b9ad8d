"""The process that decodes files: it forks for each file, and the fork enters a sandbox.

`decoder_process` starts it. It holds Pillow and NumPy, never torch, and opens no file itself. So
each file gets a fresh process in about a millisecond, and nothing of one file reaches the next.
"""

import contextlib
import gc
import io
import json
import math
import os
import select
import signal
import socket
import time
import warnings
from typing import NamedTuple, NoReturn

from PIL import Image, ImageCms

from segmentation.errors import ImageError
from segmentation.images.decoding.decode import decode
from segmentation.images.decoding.sandbox import Sandbox

_MAX_MESSAGE = 1 << 16


class _Fork(NamedTuple):
    pid: int
    client: socket.socket
    deadline: float


def serve(descriptor: int) -> None:
    """Fork for each request, and end forks that exceed their time, until the socket is closed.

    Args:
        descriptor: Of a socket. A message is a request and the descriptor of its client's socket;
            see `_work`.
    """
    warnings.simplefilter("ignore")  # showing a warning would open source files
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Image.MAX_IMAGE_PIXELS = None  # each request has its own limits of pixels and memory
    channel = socket.socket(fileno=descriptor)
    _warm_up()
    sandbox = Sandbox()
    os.close(os.pidfd_open(os.getpid()))  # fails before "ready" where there are no pidfds
    gc.freeze()
    channel.send(b"ready")
    forks: dict[int, _Fork] = {}
    while True:
        wait = min((fork.deadline for fork in forks.values()), default=math.inf) - time.monotonic()
        ready = select.select([channel, *forks], [], [], max(0.0, min(wait, 3600)))[0]
        for pidfd in list(forks):
            if pidfd in ready or time.monotonic() > forks[pidfd].deadline:
                _end(pidfd, forks.pop(pidfd), overdue=pidfd not in ready)
        if channel not in ready:
            continue
        message, descriptors, *_ = socket.recv_fds(channel, _MAX_MESSAGE, 1)
        if not message:
            return  # the forks end with this process
        request, client = json.loads(message), socket.socket(fileno=descriptors[0])
        wait = request.pop("wait")
        pid = os.fork()
        if not pid:
            clients = [fork.client.detach() for fork in forks.values()]
            for inherited in (channel.detach(), *forks, *clients):
                os.close(inherited)
            _work(sandbox, request, client)
        forks[os.pidfd_open(pid)] = _Fork(pid, client, time.monotonic() + wait)


def _end(pidfd: int, fork: _Fork, *, overdue: bool) -> None:
    """Reap a fork, and send its client the reason if it died before it responded."""
    if overdue:
        os.kill(fork.pid, signal.SIGKILL)
    _, status = os.waitpid(fork.pid, 0)
    os.close(pidfd)
    if status:
        late = overdue or os.WTERMSIG(status) == signal.SIGXCPU
        killed = os.WTERMSIG(status) == signal.SIGKILL  # as by a system that is out of memory
        died = "late" if late else "killed" if killed else "crashed"
        response = json.dumps({"died": died}).encode()
        with contextlib.suppress(OSError):  # the client has hung up, or does not read
            fork.client.send(response + b"\n", socket.MSG_DONTWAIT)
    fork.client.close()


def _work(sandbox: Sandbox, request: dict, client: socket.socket) -> NoReturn:
    """Decode one file in the fork, send the result, and exit.

    Args:
        sandbox: Entered first.
        request: "seconds", "memory", the file's "size", and arguments of `decode`.
        client: Sends the file's bytes; receives a line of JSON, of "shape" and "notes" or of
            "error" or "died", then the pixels.
    """
    status = 1
    try:
        sandbox.enter(request.pop("seconds"), request.pop("memory"))
        with client.makefile("rwb") as file:
            response, parts = _response(file.read(request.pop("size")), request)
            for part in (json.dumps(response).encode() + b"\n", *parts):
                file.write(part)
        status = 0
    finally:
        os._exit(status)


def _response(data: bytes, request: dict) -> tuple[dict, list[bytes | memoryview]]:
    try:
        pixels, notes = decode(data=data, **request)
    except ImageError as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        return {"died": "memory"} if out_of_memory else {"error": str(error)}, []
    return {"shape": pixels.shape, "notes": notes}, [pixels.data]


def _warm_up() -> None:
    """Decode a small image of each format, for modules that are imported at the first use."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"):
        file = io.BytesIO()
        try:
            Image.new("RGB", (4, 4)).save(file, kind, icc_profile=profile, exif=Image.Exif())
            decode("", kind, file.getvalue(), None)
        except (ImageError, KeyError, OSError):
            continue  # this Pillow lacks the format
    with contextlib.suppress(ImportError):
        import pillow_heif  # noqa: F401 - an optional extra
