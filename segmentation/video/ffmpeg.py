"""FFmpeg as a child process: what a clip is, its frames in, labelled frames out.

The program comes with the package `imageio-ffmpeg`, an optional extra. Its own `read_frames` is not
used: it opens whatever a file points to. A clip may come from a stranger, so the demuxers and
decoders are a short list, the only protocol is a local file (no playlist can name another file or a
host), no shell is involved, and a child that stands still is killed. Frames come as PPM pictures,
which carry their size: upright and with square pixels, as FFmpeg's own filters made them.
"""

import collections
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from segmentation.errors import VideoError
from segmentation.images.hdr_color import UNTOLD, Colour, parse_colour

STALL_SECONDS = 60.0
"""A child that neither takes nor gives a byte for so long is killed."""
PROBE_SECONDS = 20.0
MAX_PROBE_BYTES = 1 << 16

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf"
_DECODERS = (
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,mpeg2video,mpeg1video,h263,"
    "mjpeg,theora,prores,vvc,flv,wmv1,wmv2,wmv3,vc1,rawvideo,ffv1,aac,mp3,mp3float,mp2,mp2float,"
    "opus,libopus,vorbis,libvorbis,ac3,eac3,flac,alac,amrnb,amrwb,wmav1,wmav2,pcm_s16le,pcm_s16be,"
    "pcm_s24le,pcm_u8,pcm_f32le,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav"
)
CUT = "This clip is cut short: a part of the file is missing. Copy it again."
_CUT_WORDS = ("partial file", "ended prematurely")
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")


@dataclass(frozen=True)
class ClipInfo:
    """What a clip's header says.

    Attributes:
        seconds: length, or None where it is not told.
        height, width: of a frame as it is stored, before any turning; in pixels.
        fps: frames a second, or None where that is not told.
        sound: name of the sound's codec, or None without sound.
        colour: how its numbers mean colours.
    """

    seconds: float | None
    height: int
    width: int
    fps: float | None
    sound: str | None
    colour: Colour = UNTOLD


def find_ffmpeg() -> str:
    """The path of the FFmpeg program.

    Raises:
        VideoError: the optional package is not installed, or has no program for this machine.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise VideoError(
            "Clips need FFmpeg, which is not installed here: pip install imageio-ffmpeg "
            '(or pip install "pixelwise[video]"), and start again.'
        ) from None
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise VideoError(
            "imageio-ffmpeg has no FFmpeg for this machine: install FFmpeg and name it in the "
            "environment variable IMAGEIO_FFMPEG_EXE."
        ) from error


def source_options(path: Path, max_pixels: int) -> list[str]:
    """The words that open a file which may come from a stranger."""
    return [
        *("-protocol_whitelist", "file"),
        *("-format_whitelist", _FORMATS),
        *("-codec_whitelist", _DECODERS),
        *("-max_pixels", str(max_pixels)),
        *("-threads", "2"),
        *("-i", f"file:{path.resolve()}"),
    ]


def probe(path: Path, max_pixels: int) -> ClipInfo:
    """Read a clip's header.

    Args:
        path: an existing file.
        max_pixels: of one frame.

    Raises:
        VideoError: no readable clip, or no picture in it.
    """
    command = [find_ffmpeg(), "-hide_banner", "-nostdin", *source_options(path, max_pixels)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise VideoError(
            f"This clip's header took more than {PROBE_SECONDS:g} s to read."
        ) from None
    return parse_facts(done.stderr[:MAX_PROBE_BYTES].decode("utf-8", "replace"))


def parse_facts(said: str) -> ClipInfo:
    """What FFmpeg prints of its input, as numbers.

    Args:
        said: its standard error.

    Raises:
        VideoError: it found no clip.
    """
    streams = re.findall(r"^ +Stream #0:.*$", said, re.MULTILINE)
    videos = [line for line in streams if ": Video: " in line and "(attached pic)" not in line]
    size = re.search(r", (\d{1,6})x(\d{1,6})\b", videos[0]) if videos else None
    if is_cut(said):
        raise VideoError(CUT)
    if not streams:
        raise VideoError(
            "This file is no clip that can be read here. Use MP4, MOV, WebM, MKV or AVI."
        )
    if size is None:
        raise VideoError("There is no moving picture in this file.")
    length = re.search(r"^ +Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", said, re.MULTILINE)
    hours, minutes, seconds = map(float, length.groups()) if length else (0.0, 0.0, 0.0)
    fps = re.search(r", (\d+(?:\.\d+)?) fps", videos[0])
    sounds = [found for line in streams if (found := re.search(r": Audio: (\w+)", line))]
    return ClipInfo(
        seconds=3600 * hours + 60 * minutes + seconds if length else None,
        height=int(size[2]),
        width=int(size[1]),
        fps=float(fps[1]) if fps else None,
        sound=sounds[0][1] if sounds else None,
        colour=parse_colour(said, videos[0]),
    )


def is_cut(said: str) -> bool:
    """Whether FFmpeg complains that a file ends before it should."""
    return any(words in said for words in _CUT_WORDS)


class FfmpegProcess:
    """A running FFmpeg, killed at the end of the block and where it stands still.

    Args:
        arguments: words after the program's name.
        folder: where it runs; None for here.

    Attributes:
        cut_short: whether it has complained that its input ends before it should.
    """

    def __init__(self, arguments: list[str], folder: str | None = None) -> None:
        self.cut_short = False
        self._process = subprocess.Popen(
            [find_ffmpeg(), *_QUIET, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
        )
        self._errors: collections.deque[bytes] = collections.deque(maxlen=8)
        self._waiting_since: float | None = None
        self._ended = threading.Event()
        for work in (self._listen, self._watch):
            threading.Thread(target=work, name="ffmpeg", daemon=True).start()

    def __enter__(self) -> "FfmpegProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was still to be written has nowhere to go
                    continue
        self._process.wait()

    @property
    def said(self) -> str:
        """The last lines of its complaints."""
        return b" ".join(self._errors).decode("utf-8", "replace")[-500:]

    def read_exactly(self, count: int) -> bytes:
        """The next bytes of its output; fewer at the end."""
        with self._waiting():
            return self._output.read(count)

    def read_line(self) -> bytes:
        """The next line of its output, at most 64 bytes."""
        with self._waiting():
            return self._output.readline(64)

    def write(self, data: memoryview) -> None:
        """Hand it bytes.

        Raises:
            VideoError: it has ended.
        """
        try:
            with self._waiting():
                self._process.stdin.write(data)
        except OSError as error:
            raise VideoError(f"The labelled clip could not be written: {self.said}") from error

    def finish(self, seconds: float = STALL_SECONDS) -> int:
        """Tell it that nothing more comes, and wait for its end: its exit status."""
        try:
            self._process.stdin.close()
            return self._process.wait(seconds)
        except (OSError, subprocess.TimeoutExpired):
            return -1

    @property
    def _output(self) -> IO[bytes]:
        return self._process.stdout

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > STALL_SECONDS:
                self._process.kill()
                return

    def _listen(self) -> None:
        with self._process.stderr as errors:
            while line := errors.readline(1000):
                self._errors.append(line.strip())
                self.cut_short |= is_cut(line.decode("utf-8", "replace"))


def read_frames(child: FfmpegProcess) -> Iterator[np.ndarray]:
    """The PPM pictures that a child writes.

    Yields:
        (H, W, 3) uint8 RGB.

    Raises:
        VideoError: what it writes is no picture.
    """
    while magic := child.read_line():
        sides, depth = child.read_line().split(), child.read_line()
        if magic != b"P6\n" or len(sides) != 2 or depth != b"255\n":
            raise VideoError(f"FFmpeg did not hand over a picture: {child.said}")
        width, height = map(int, sides)
        data = child.read_exactly(width * height * 3)
        if len(data) < width * height * 3:
            raise VideoError(f"FFmpeg ended within a frame of this clip. {child.said}".strip())
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
