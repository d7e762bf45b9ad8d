"""Run FFmpeg as a child process: read a clip's header and frames, write labelled frames.

The program comes with the package `imageio-ffmpeg`, an optional extra. Its own `read_frames` is not
used, because it opens whatever a file points to. Clips are untrusted: demuxers and decoders are
limited to a short list, and the only protocol is a local file, so that a playlist cannot name
another file or a host. No shell is involved, and a stalled child is killed. Frames are PPM images,
whose header has their size; FFmpeg's filters have made them upright, with square pixels.
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
from segmentation.images.hdr_color import UNKNOWN_COLOUR, Colour, parse_colour

STALL_SECONDS = 60.0
"""A child that reads and writes nothing for this long is killed."""
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
_CUT_MESSAGES = ("partial file", "ended prematurely")
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")


@dataclass(frozen=True)
class ClipInfo:
    """Properties from a clip's header.

    Attributes:
        seconds: length, or None if unknown.
        height, width: size of a stored frame in pixels, before rotation.
        fps: frames per second, or None if unknown.
        sound: name of the audio codec, or None without sound.
        colour: colour space.
    """

    seconds: float | None
    height: int
    width: int
    fps: float | None
    sound: str | None
    colour: Colour = UNKNOWN_COLOUR


def find_ffmpeg() -> str:
    """Return the path of the FFmpeg program.

    Raises:
        VideoError: the optional package is not installed, or has no program for this machine.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise VideoError(
            "Clips need FFmpeg, which is not installed: pip install imageio-ffmpeg "
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
    """Return the options that open an untrusted file."""
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
        max_pixels: maximum number of pixels of a frame.

    Raises:
        VideoError: the file is not a readable clip, or has no video.
    """
    command = [find_ffmpeg(), "-hide_banner", "-nostdin", *source_options(path, max_pixels)]
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise VideoError(
            f"This clip's header took more than {PROBE_SECONDS:g} s to read."
        ) from None
    return parse_clip_info(completed.stderr[:MAX_PROBE_BYTES].decode("utf-8", "replace"))


def parse_clip_info(messages: str) -> ClipInfo:
    """Parse what FFmpeg prints about its input.

    Args:
        messages: FFmpeg's standard error.

    Raises:
        VideoError: the file is truncated, is not a clip, or has no video.
    """
    streams = re.findall(r"^ +Stream #0:.*$", messages, re.MULTILINE)
    videos = [line for line in streams if ": Video: " in line and "(attached pic)" not in line]
    size = re.search(r", (\d{1,6})x(\d{1,6})\b", videos[0]) if videos else None
    if is_cut(messages):
        raise VideoError(CUT)
    if not streams:
        raise VideoError("This file is not a readable clip. Use MP4, MOV, WebM, MKV or AVI.")
    if size is None:
        raise VideoError("This file has no video. Use a clip with moving pictures.")
    length = re.search(r"^ +Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", messages, re.MULTILINE)
    hours, minutes, seconds = map(float, length.groups()) if length else (0.0, 0.0, 0.0)
    fps = re.search(r", (\d+(?:\.\d+)?) fps", videos[0])
    sounds = [match for line in streams if (match := re.search(r": Audio: (\w+)", line))]
    return ClipInfo(
        seconds=3600 * hours + 60 * minutes + seconds if length else None,
        height=int(size[2]),
        width=int(size[1]),
        fps=float(fps[1]) if fps else None,
        sound=sounds[0][1] if sounds else None,
        colour=parse_colour(messages, videos[0]),
    )


def is_cut(messages: str) -> bool:
    """Return whether FFmpeg reports a truncated file."""
    return any(text in messages for text in _CUT_MESSAGES)


class FfmpegProcess:
    """A running FFmpeg, killed when it stalls and at the end of the `with` block.

    Args:
        arguments: command-line arguments.
        folder: working directory; None for the current one.

    Attributes:
        cut_short: whether FFmpeg has reported a truncated input.
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
        for target in (self._read_errors, self._watch):
            threading.Thread(target=target, name="ffmpeg", daemon=True).start()

    def __enter__(self) -> "FfmpegProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # the child has exited; unwritten bytes are lost
                    continue
        self._process.wait()

    @property
    def messages(self) -> str:
        """The last lines of its standard error."""
        return b" ".join(self._errors).decode("utf-8", "replace")[-500:]

    def read_exactly(self, count: int) -> bytes:
        """Read the next bytes of its output; fewer at the end."""
        with self._waiting():
            return self._output.read(count)

    def read_line(self) -> bytes:
        """Read the next line of its output, at most 64 bytes."""
        with self._waiting():
            return self._output.readline(64)

    def write(self, data: memoryview) -> None:
        """Write bytes to its input.

        Raises:
            VideoError: the process has ended.
        """
        try:
            with self._waiting():
                self._process.stdin.write(data)
        except OSError as error:
            raise VideoError(f"The labelled clip could not be written: {self.messages}") from error

    def finish(self, seconds: float = STALL_SECONDS) -> int:
        """Close its input, wait for it to exit, and return the exit status."""
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

    def _read_errors(self) -> None:
        with self._process.stderr as errors:
            while line := errors.readline(1000):
                self._errors.append(line.strip())
                self.cut_short |= is_cut(line.decode("utf-8", "replace"))


def read_frames(child: FfmpegProcess) -> Iterator[np.ndarray]:
    """Read the PPM images that a child writes.

    Yields:
        (H, W, 3) uint8 RGB.

    Raises:
        VideoError: the output is not a PPM image.
    """
    while magic := child.read_line():
        sides, depth = child.read_line().split(), child.read_line()
        if magic != b"P6\n" or len(sides) != 2 or depth != b"255\n":
            raise VideoError(f"FFmpeg did not return an image: {child.messages}")
        width, height = map(int, sides)
        data = child.read_exactly(width * height * 3)
        if len(data) < width * height * 3:
            raise VideoError(
                f"FFmpeg stopped within a frame of this clip. {child.messages}".strip()
            )
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
