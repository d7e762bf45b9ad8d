"""The process that decodes files: it forks for each, and the fork shuts itself in.

It is started by `image_process`, holds Pillow and NumPy and never torch, and reads no file itself.
So a picture gets a fresh process in about a millisecond, and nothing of one reaches the next.
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

_MOST_MESSAGE = 1 << 16


class _Fork(NamedTuple):
    pid: int
    asker: socket.socket
    deadline: float


def serve(descriptor: int) -> None:
    """Fork for each request, and end those that overstay, until the other side hangs up.

    Args:
        descriptor: Of a socket; a message is a request and its asker's descriptor, see `_work`.
    """
    warnings.simplefilter("ignore")  # they would be looked up in source files
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Image.MAX_IMAGE_PIXELS = None  # a request has its own limit, and memory another
    channel = socket.socket(fileno=descriptor)
    _warm_up()
    sandbox = Sandbox()
    os.close(os.pidfd_open(os.getpid()))  # is there such a thing here?
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
        message, handed, *_ = socket.recv_fds(channel, _MOST_MESSAGE, 1)
        if not message:
            return  # the forks end with this process
        request, asker = json.loads(message), socket.socket(fileno=handed[0])
        wait = request.pop("wait")
        pid = os.fork()
        if not pid:
            for kept in (
                channel.detach(),
                *forks,
                *(fork.asker.detach() for fork in forks.values()),
            ):
                os.close(kept)
            _work(sandbox, request, asker)
        forks[os.pidfd_open(pid)] = _Fork(pid, asker, time.monotonic() + wait)


def _end(pidfd: int, fork: _Fork, *, overdue: bool) -> None:
    """Bury a fork, and say how it died if it did so before its answer."""
    if overdue:
        os.kill(fork.pid, signal.SIGKILL)
    _, status = os.waitpid(fork.pid, 0)
    os.close(pidfd)
    if status:
        late = overdue or os.WTERMSIG(status) == signal.SIGXCPU
        killed = os.WTERMSIG(status) == signal.SIGKILL  # as systems do that lack memory
        died = "late" if late else "killed" if killed else "crashed"
        answer = json.dumps({"died": died}).encode()
        with contextlib.suppress(OSError):  # whoever asked has gone, or does not listen
            fork.asker.send(answer + b"\n", socket.MSG_DONTWAIT)
    fork.asker.close()


def _work(sandbox: Sandbox, request: dict, asker: socket.socket) -> NoReturn:
    """In the fork: decode one file, answer, end.

    Args:
        sandbox: Entered first.
        request: "seconds", "memory", the file's "size", and arguments of `decode`.
        asker: Gives the file's bytes; takes a line of JSON, of "shape" and "notes" or of
            "error"; then the pixels.
    """
    status = 1
    try:
        sandbox.enter(request.pop("seconds"), request.pop("memory"))
        with asker.makefile("rwb") as file:
            answer, parts = _decoded(file.read(request.pop("size")), request)
            for part in (json.dumps(answer).encode() + b"\n", *parts):
                file.write(part)
        status = 0
    finally:
        os._exit(status)


def _decoded(data: bytes, request: dict) -> tuple[dict, list[bytes | memoryview]]:
    try:
        pixels, notes = decode(data=data, **request)
    except ImageError as error:
        short = isinstance(error.__cause__, MemoryError)
        return {"died": "memory"} if short else {"error": str(error)}, []
    return {"shape": pixels.shape, "notes": notes}, [pixels.data]


def _warm_up() -> None:
    """Decode a little picture of each kind: what is imported late is imported now."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"):
        file = io.BytesIO()
        try:
            Image.new("RGB", (4, 4)).save(file, kind, icc_profile=profile, exif=Image.Exif())
            decode("", kind, file.getvalue(), None)
        except (ImageError, KeyError, OSError):
            continue  # a Pillow without this one
    with contextlib.suppress(ImportError):
        import pillow_heif  # noqa: F401 - an optional extra
