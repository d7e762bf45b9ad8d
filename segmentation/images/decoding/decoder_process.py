"""Decode files in a sandboxed process, and check everything that it returns.

The process runs `decoder_child`. Linux only: elsewhere, and where no such process can be started,
files are decoded in this one.
"""

import atexit
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from segmentation.errors import ImageError
from segmentation.images.decoding.decode import Decoded, decode
from segmentation.images.formats.headers import check_header

log = logging.getLogger(__name__)

# What every image may take, and what its pixels and bytes add; see SECURITY.md.
SECONDS, SECONDS_PER_MEGAPIXEL = 3, 0.25
MEMORY, MEMORY_PER_PIXEL, MEMORY_PER_BYTE = 128 << 20, 20, 4
_WALL_TIME = 4  # times the processor time, for a machine that is busy
_START_SECONDS = 60
_MAX_TEXT = 4000
_REMEDY = "Open it in an image editor and save it as PNG or JPEG."
_SCRIPT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from segmentation.images.decoding.decoder_child import serve; serve(int(sys.argv[2]))"
)
# All memory of a fork is new, and each page costs time: it is taken 2 MB at a time and reused.
_MALLOC = ":".join(
    f"glibc.malloc.{name}"
    for name in (
        "hugetlb=1",
        "mmap_threshold=33554432",
        "trim_threshold=536870912",
        "top_pad=4194304",
    )
)
_INHERITED_VARIABLES = ("LD_", "LC_", "LANG", "PATH", "PYTHONHOME")


class _Limits(NamedTuple):
    seconds: int  # of processor time
    memory: int  # bytes

    def message(self, subject: str, died: str) -> str:
        """Return the message for a fork that died; `died` is one of `decoder_child`'s words."""
        if died == "killed":
            return f"{subject} was not decoded: something ended its decoder. Try again."
        if died == "late":
            cost = f"takes more than {self.seconds} seconds to decode"
        elif died == "memory":
            cost = f"takes more than {self.memory / 1e6:,.0f} MB of memory to decode"
        else:
            return f"{subject} cannot be decoded: it is damaged. {_REMEDY}"
        return f"{subject} {cost}, which no usual picture of its size does. {_REMEDY}"


class _Child:
    """The started process."""

    def __init__(self) -> None:
        self.owner, self.is_up = os.getpid(), False
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [str(Path(__file__).parents[3]), *(part for part in sys.path if part)]
        variables = {k: v for k, v in os.environ.items() if k.startswith(_INHERITED_VARIABLES)}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, json.dumps(path), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**variables, "OPENBLAS_NUM_THREADS": "1", "GLIBC_TUNABLES": _MALLOC},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process only
            )

    def wait(self) -> bool:
        """Wait until the process is up; return False if it ended or took too long."""
        self.channel.settimeout(_START_SECONDS)
        with contextlib.suppress(OSError):
            self.is_up = self.channel.recv(16) == b"ready"
        return self.is_up

    def connect(self, request: dict[str, Any]) -> socket.socket:
        """Return a connection to a fork with this request; closed where the process has ended."""
        mine, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):
            socket.send_fds(self.channel, [json.dumps(request).encode()], [theirs.fileno()])
        return mine

    def end(self) -> None:
        """End the process; in a fork of the process that started it, only close the channel."""
        self.channel.close()
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()


class Decoder:
    """Decodes files in a process of its own, which starts when it is first needed.

    Attributes:
        apart: Whether there can be such a process; False decodes files in this one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._has_worked = False
        self.apart = sys.platform == "linux"

    def start(self) -> None:
        """Start the process if it is not running, without waiting until it is up."""
        with self._lock, contextlib.suppress(OSError):
            if self._child is None or self._child.owner != os.getpid():
                self._begin()

    @property
    def pid(self) -> int | None:
        """The process's number; None where there is none."""
        return self._child.process.pid if self._child else None

    def stop(self) -> None:
        """End the process if it is running; the next file starts another."""
        with self._lock:
            if self._child:
                self._child.end()
            self._child = None

    def decode(
        self, subject: str, data: bytes, max_megapixels: float | None, modes: tuple[str, ...] = ()
    ) -> Decoded:
        """Decode a file in the sandbox, within time and memory in proportion to its size.

        Args:
            subject: The file's name in messages.
            data: The file's bytes.
            max_megapixels: The largest image to decode, in millions of pixels. None for no limit,
                which bounds neither time nor memory: the file is then decoded in this process.
            modes: See `decode.decode`.

        Raises:
            ImageError: Whatever is wrong with the file, for the user.
        """
        kind, size = check_header(subject, data, max_megapixels)
        args = {"subject": subject, "kind": kind, "max_megapixels": max_megapixels, "modes": modes}
        if max_megapixels is None or not self.apart:
            return decode(data=data, **args)
        max_pixels = int(max_megapixels * 1e6)
        pixels = size[0] * size[1] if size else max_pixels
        limits = _Limits(
            seconds=round(SECONDS + SECONDS_PER_MEGAPIXEL * pixels / 1e6),
            memory=MEMORY + MEMORY_PER_PIXEL * pixels + MEMORY_PER_BYTE * len(data),
        )
        wait = _WALL_TIME * limits.seconds
        request = {**args, **limits._asdict(), "wait": wait, "size": len(data)}
        for _ in range(2):  # again if something killed the process, which a file cannot
            child = self._running()
            if child is None:
                return decode(data=data, **args)
            with contextlib.closing(child.connect(request)) as connection:
                with contextlib.suppress(OSError):  # a fork that died has not read all
                    connection.sendall(data)
                with connection.makefile("rb") as file:
                    header = file.readline(_MAX_TEXT)
                    if header:
                        return _read_result(subject, header, file, limits, max_pixels)
            self._discard(child)
        raise ImageError(limits.message(subject, "killed"))

    def _begin(self) -> None:
        # A child of another owner belongs to the process that this one is a fork of.
        self._child = None
        self._child = _Child()
        atexit.register(self._child.end)

    def _running(self) -> _Child | None:
        """Return the process once it is up, started if need be; None where there cannot be one."""
        with self._lock:
            try:
                if self._child is None or self._child.owner != os.getpid():
                    self._begin()
                child = self._child
                if child.is_up or child.wait():
                    self._has_worked = True
                    return child
                child.end()
            except OSError:
                log.debug("no decoder process", exc_info=True)
            self._child = None
            if self._has_worked:
                raise ImageError("No picture can be decoded now: too little memory. Try again.")
            self.apart = False
            log.warning("pictures are decoded in this process, without limits: none other starts")
            return None

    def _discard(self, child: _Child) -> None:
        with self._lock:
            child.end()
            if self._child is child:
                self._child = None


decoder = Decoder()
"""The decoder of this process."""


def _read_result(
    subject: str, header: bytes, file: BinaryIO, limits: _Limits, max_pixels: int
) -> Decoded:
    """Return the image in a fork's response, trusting nothing in it.

    Args:
        subject: The file's name in messages.
        header: A line of JSON, as `decoder_child` writes it.
        file: Holds the pixels.
        limits: Of the fork.
        max_pixels: The largest image to accept.

    Raises:
        ImageError: The response's own message, or that the response is invalid.
    """
    try:
        response = json.loads(header)
        if "shape" not in response:
            died = response.get("died")
            raise ImageError(
                limits.message(subject, died) if died else _checked_text(response["error"])
            )
        height, width, *rest = map(int, response["shape"])
        notes = tuple(map(_checked_text, response["notes"]))
        if min(height, width) <= 0 or height * width > max_pixels or rest not in ([], [3], [4]):
            raise ValueError
        pixels = np.empty((height, width, *rest), np.uint8)
        if file.readinto(memoryview(pixels).cast("B")) != pixels.nbytes:
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise ImageError(f"{subject} cannot be decoded: it is damaged. {_REMEDY}") from None
    return Decoded(pixels, notes)


def _checked_text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_TEXT:
        raise ValueError
    return value
