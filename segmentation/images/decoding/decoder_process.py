"""The other side of `image_child`: hands it files, and believes nothing that comes back.

Linux only. Elsewhere, or where no such process can be started, files are decoded in this one.
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
from segmentation.images.decoding.decode import Decoded, decode, only_image_errors
from segmentation.images.decoding.readers import check_file

log = logging.getLogger(__name__)

# The least that a picture may take, and what its pixels add; see SECURITY.md.
SECONDS, SECONDS_PER_MEGAPIXEL = 3, 0.25
MEMORY, MEMORY_PER_PIXEL, MEMORY_PER_BYTE = 128 << 20, 20, 4
_WAIT = 4  # times the seconds, on a machine that is busy with other things
_START_SECONDS = 60
_MOST_TEXT = 4000
_REMEDY = "Open it in an image editor and save it as PNG or JPEG."
_SCRIPT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from segmentation.images.decoding.decoder_child import serve; serve(int(sys.argv[2]))"
)
# A fork's memory is all new, and costs time page by page: it is taken 2 MB at a time and kept.
_MALLOC = ":".join(
    f"glibc.malloc.{name}"
    for name in (
        "hugetlb=1",
        "mmap_threshold=33554432",
        "trim_threshold=536870912",
        "top_pad=4194304",
    )
)
_KEPT_SETTINGS = ("LD_", "LC_", "LANG", "PATH", "PYTHONHOME")


class _Limits(NamedTuple):
    seconds: int  # of processor time
    memory: int  # bytes

    @classmethod
    def of(cls, pixels: int, size: int) -> "_Limits":
        """What no usual picture of so many pixels, in a file of this size, needs."""
        seconds = round(SECONDS + SECONDS_PER_MEGAPIXEL * pixels / 1e6)
        return cls(seconds, MEMORY + MEMORY_PER_PIXEL * pixels + MEMORY_PER_BYTE * size)


class _Child:
    """One started process."""

    def __init__(self) -> None:
        self.owner, self.up = os.getpid(), False
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [str(Path(__file__).parents[3]), *(part for part in sys.path if part)]
        settings = {k: v for k, v in os.environ.items() if k.startswith(_KEPT_SETTINGS)}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, json.dumps(path), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**settings, "OPENBLAS_NUM_THREADS": "1", "GLIBC_TUNABLES": _MALLOC},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the one that asks
            )

    def wait(self) -> bool:
        """Wait until it is up, and tell whether it is."""
        if not self.up:
            self.channel.settimeout(_START_SECONDS)
            with contextlib.suppress(OSError):
                self.up = self.channel.recv(16) == b"ready"
        return self.up

    def ask(self, request: dict[str, Any]) -> socket.socket:
        """A connection to a fork that has this request; hung up where the process has ended."""
        mine, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):
            socket.send_fds(self.channel, [json.dumps(request).encode()], [theirs.fileno()])
        return mine

    def end(self) -> None:
        """End it; in a fork of the process that started it, leave it alone."""
        self.channel.close()
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()


class Decoder:
    """Decodes files in a process of its own, which starts when it is first needed.

    Attributes:
        apart: Whether that is so; where it is False, files are decoded in this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._has_worked = False
        self.apart = sys.platform == "linux"

    def start(self) -> None:
        """Start the process, where there is none, without waiting until it is up."""
        with self._lock, contextlib.suppress(OSError):
            self._begin()

    @property
    def pid(self) -> int | None:
        """The process's number; None where there is none."""
        return self._child.process.pid if self._child else None

    def stop(self) -> None:
        """End the process, where there is one; the next file starts another."""
        with self._lock:
            if self._child:
                self._child.end()
            self._child = None

    def decode(
        self, subject: str, data: bytes, max_megapixels: float | None, modes: tuple[str, ...] = ()
    ) -> Decoded:
        """Decode a file where nothing else can be done, within a time and memory of its size.

        Args:
            subject: How a message calls the file.
            data: The file's bytes.
            max_megapixels: The largest picture to decode, in millions of pixels. None for no
                limit, which leaves none to time and memory either: it is decoded in this process.
            modes: See `image_decode.decode`.

        Raises:
            ImageError: Whatever is wrong with the file, for a person.
        """
        with only_image_errors(subject):
            kind, size = check_file(subject, data, max_megapixels)
        asked = {"subject": subject, "kind": kind, "max_megapixels": max_megapixels, "modes": modes}
        if max_megapixels is None or not self.apart:
            return decode(data=data, **asked)
        most = int(max_megapixels * 1e6)
        limits = _Limits.of(size[0] * size[1] if size else most, len(data))
        request = {**asked, **limits._asdict(), "wait": _WAIT * limits.seconds, "size": len(data)}
        for _ in range(2):  # should something have killed the process: a file cannot
            child = self._running()
            if child is None:
                return decode(data=data, **asked)
            with contextlib.closing(child.ask(request)) as answers:
                with contextlib.suppress(OSError):  # a fork that died has not read all
                    answers.sendall(data)
                with answers.makefile("rb") as file:
                    told = file.readline(_MOST_TEXT)
                    if told:
                        return _believed(subject, told, file, limits, most)
            self._forget(child)
        raise ImageError(_reason(subject, {"died": "killed"}, limits))

    def _begin(self) -> _Child:
        if self._child and self._child.owner != os.getpid():
            self._child = None  # that of the process of which this one is a fork
        if self._child is None:
            self._child = _Child()
            atexit.register(self._child.end)
        return self._child

    def _running(self) -> _Child | None:
        """The process; None where there cannot be one."""
        with self._lock:
            try:
                child = self._begin()
                if child.wait():
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

    def _forget(self, child: _Child) -> None:
        with self._lock:
            child.end()
            if self._child is child:
                self._child = None


decoder = Decoder()
"""This process's own."""


def _believed(subject: str, told: bytes, file: BinaryIO, limits: _Limits, most: int) -> Decoded:
    """The picture that an answer tells of, whatever else it may say; its pixels follow."""
    try:
        answer = json.loads(told)
        if "shape" not in answer:
            raise ImageError(_reason(subject, answer, limits))
        height, width, *rest = map(int, answer["shape"])
        notes = tuple(map(_text, answer["notes"]))
        sound = min(height, width) > 0 and height * width <= most
        if not sound or rest not in ([], [3], [4]):
            raise ValueError
        pixels = np.empty((height, width, *rest), np.uint8)
        if file.readinto(memoryview(pixels).cast("B")) != pixels.nbytes:
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise ImageError(f"{subject} cannot be decoded: it is damaged. {_REMEDY}") from None
    return Decoded(pixels, notes)


def _reason(subject: str, told: dict[str, Any], limits: _Limits) -> str:
    died = told.get("died")
    if died == "late":
        cost = f"takes more than {limits.seconds} seconds to decode"
    elif died == "memory":
        cost = f"takes more than {limits.memory / 1e6:,.0f} MB of memory to decode"
    elif died == "killed":
        return f"{subject} was not decoded: something ended its decoder. Try again."
    elif died:
        return f"{subject} cannot be decoded: it is damaged. {_REMEDY}"
    else:
        return _text(told["error"])
    return f"{subject} {cost}, which no usual picture of its size does. {_REMEDY}"


def _text(said: Any) -> str:
    if not isinstance(said, str) or not said.isprintable() or len(said) > _MOST_TEXT:
        raise ValueError
    return said
