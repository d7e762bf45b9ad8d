"""Label a short clip and write it with the labels overlaid and its sound.

Frames pass one by one from FFmpeg through the network and back to FFmpeg, so memory does not depend
on the clip's length. FFmpeg resamples them to a constant rate by their timestamps, so that a
phone's uneven frames remain synchronous with the sound. It also turns them upright, with square
pixels, within the limits. Labels are smoothed over time (`smoothing.py`). The clip's metadata, such
as its location, is dropped.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmentation.errors import VideoError
from segmentation.images.hdr_color import conversion
from segmentation.inference.postprocessing import decide
from segmentation.inference.result import BACKGROUND_NAMES
from segmentation.inference.segmenter import Segmenter
from segmentation.overlay import blend
from segmentation.palette import colorize, palette_from_card
from segmentation.video.ffmpeg import (
    CUT,
    ClipInfo,
    FfmpegProcess,
    probe,
    read_frames,
    source_options,
)
from segmentation.video.file_ends import ends_too_early
from segmentation.video.limits import ClipLimits
from segmentation.video.smoothing import Smoother

ALPHA = 0.6
SLACK_SECONDS = 0.5
"""Tolerance of the length limit: a clip of "20 s" may have a frame or two more."""
_MP4_SOUND = ("aac", "mp3")  # the codecs that browsers play in MP4 files
_COLOUR = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")


@dataclass(frozen=True)
class LabelledClip:
    """A labelled clip on disk.

    Attributes:
        path: the MP4 file (H.264, with sound if the clip has any).
        frames: number of frames.
        height, width: size of a frame in pixels, both even.
        fps: frames per second.
        sound: "kept" (copied), "recoded" for MP4, "none" (the clip has none), or "lost".
        note: a remark about its colours for the user; usually empty.
    """

    path: Path
    frames: int
    height: int
    width: int
    fps: float
    sound: str
    note: str = ""


def check_clip(path: str | os.PathLike[str], limits: ClipLimits | None = None) -> ClipInfo:
    """Read a clip's header and compare it with the limits, before a frame is decoded.

    Args:
        path: the file.
        limits: see `ClipLimits`; None for its defaults.

    Raises:
        VideoError: FFmpeg or the file is missing, it is not a clip, or it exceeds a limit.
    """
    limits, path = limits or ClipLimits(), Path(path)
    if not path.is_file():
        raise VideoError(f"There is no file {path.name!r}.")
    size = path.stat().st_size
    if size > limits.megabytes * 2**20:
        raise VideoError(
            f"This clip has {size / 2**20:.1f} MB; at most {limits.megabytes:g} MB are allowed. "
            "Cut it shorter or save it smaller."
        )
    if ends_too_early(path):
        raise VideoError(CUT)
    info = probe(path, limits.source_pixels)
    if info.height * info.width > limits.source_pixels:
        raise VideoError(
            f"This clip's frames have {info.width} x {info.height} pixels; at most "
            f"{limits.source_pixels / 1e6:g} megapixels are allowed (4K). Save it smaller."
        )
    if info.seconds is not None and info.seconds > limits.seconds + SLACK_SECONDS:
        raise VideoError(
            f"This clip lasts {info.seconds:.1f} s; at most {limits.seconds:g} s are allowed. "
            "Cut it shorter."
        )
    conversion(info.colour)  # raises if the colour space is not supported
    return info


def label_clip(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    segmenter: Segmenter,
    *,
    size: int | None = None,
    alpha: float = ALPHA,
    limits: ClipLimits | None = None,
    smoother: Smoother | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    slot: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> LabelledClip:
    """Label a clip and write it with the labels overlaid.

    Args:
        source: path of the clip.
        out: the MP4 file, written atomically.
        segmenter: labels the frames.
        size: shorter side of the network's input in pixels; None for the model's own.
        alpha: opacity of the colours, 0 to 1; the background is not coloured.
        limits: see `ClipLimits`; None for its defaults.
        smoother: smooths the labels over time; None for a new `Smoother`.
        progress: called with (frames done, total frames or None) before each frame and at the end.
            An exception from it stops the run, and no child process or file remains.
        slot: returns a context manager in which the network runs for one frame, so that other
            requests can run between two frames.

    Returns:
        The file and its properties.

    Raises:
        VideoError: see `check_clip`; or the clip is longer than its header says, or damaged.
        ModelError: the network failed.
    """
    limits, source, out = limits or ClipLimits(), Path(source), Path(out)
    info = check_clip(source, limits)
    fps = min(max(info.fps or limits.fps, 1.0), limits.fps)
    total = max(1, round(info.seconds * fps)) if info.seconds else None
    labeler = _FrameLabeler(segmenter, size, alpha, smoother or Smoother(), 1 / fps, slot)
    with tempfile.TemporaryDirectory(prefix=".clip-", dir=out.parent) as folder:
        silent = Path(folder, "silent.mp4")
        silent.touch()
        colours = conversion(info.colour)
        if colours:
            Path(folder, "to_srgb.cube").write_text(colours.table())
        decoding = _decoding(source, limits, fps, colours.filters() if colours else [])
        with FfmpegProcess(decoding, folder) as decoder, _Encoder(silent, fps) as encoder:
            frames, shape = 0, (0, 0)
            for frame in read_frames(decoder):
                _check_length(frames / fps, limits)
                progress(frames, total)
                encoder.write(labeler(frame))
                frames, shape = frames + 1, frame.shape[:2]
            _check_complete(decoder, frames)
            encoder.finish()
        progress(frames, frames)
        sound = _add_sound(silent, source, Path(folder, "complete.mp4"), info, limits)
        os.replace(Path(folder, "complete.mp4"), out)
    return LabelledClip(out, frames, *shape, fps, sound, colours.note if colours else "")


def _check_length(seconds: float, limits: ClipLimits) -> None:
    """Raise VideoError if more has been read than the limit allows."""
    if seconds > limits.seconds + SLACK_SECONDS:
        raise VideoError(
            f"This clip is longer than the limit of {limits.seconds:g} s. Cut it shorter."
        )


def _check_complete(decoder: FfmpegProcess, frames: int) -> None:
    """Raise VideoError unless the decoder has read the full clip."""
    if decoder.cut_short:
        raise VideoError(CUT)
    if not frames:
        raise VideoError(f"No frame of this clip can be decoded. {decoder.messages}".strip())
    if decoder.finish() != 0:  # killed, or out of memory: the frames so far are not the clip
        raise VideoError(
            f"FFmpeg stopped after {frames} frames, before the end of this clip. "
            f"{decoder.messages}".strip()
        )


class _FrameLabeler:
    """Labels frames and overlays the colours."""

    def __init__(
        self,
        segmenter: Segmenter,
        size: int | None,
        alpha: float,
        smoother: Smoother,
        elapsed: float,
        slot: Callable[[], AbstractContextManager[object]],
    ) -> None:
        card = segmenter.model.card
        self._palette = palette_from_card(card.palette, len(card.categories))
        self._background = [i for i, name in enumerate(card.categories) if name in BACKGROUND_NAMES]
        self._segmenter, self._size, self._alpha = segmenter, size, alpha
        self._smoother, self._elapsed, self._slot = smoother, elapsed, slot

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Overlay the labels of an (H, W, 3) uint8 RGB frame."""
        with self._slot():
            logits = self._segmenter.logits(frame, size=self._size)
            scores = self._smoother(logits, frame, self._elapsed)
            class_map, _, _ = decide(scores, frame.shape[:2])
        foreground = ~np.isin(class_map, self._background)
        return blend(frame, colorize(class_map, self._palette), self._alpha, mask=foreground)


class _Encoder:
    """Writes frames as H.264; the child process starts at the first frame, which sets the size."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._child: FfmpegProcess | None = None
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(self, *error: object) -> None:
        if self._child is not None:
            self._child.__exit__(*error)

    def write(self, frame: np.ndarray) -> None:
        """Add an (H, W, 3) uint8 RGB frame; all frames must have the same size."""
        if self._child is None:
            self._shape = frame.shape
            self._child = FfmpegProcess(_encoding(self._path, frame.shape[:2], self._fps))
        if frame.shape != self._shape:
            raise VideoError("This clip's frames change size. Export it again with one size.")
        self._child.write(memoryview(np.ascontiguousarray(frame)).cast("B"))

    def finish(self) -> None:
        """Complete the file."""
        if self._child is not None and self._child.finish() != 0:
            raise VideoError(f"The labelled clip could not be written: {self._child.messages}")


def _decoding(source: Path, limits: ClipLimits, fps: float, colours: list[str]) -> list[str]:
    side = limits.longest
    filters = [
        # from time 0, so that video that begins later than the sound remains synchronous
        f"fps={fps:g}:start_time=0",
        "scale=w=trunc(iw*sar/2)*2:h=trunc(ih/2)*2",
        "setsar=1",
        f"scale=w='min({side},iw)':h='min({side},ih)'"
        ":force_original_aspect_ratio=decrease:force_divisible_by=2",
        *colours,
    ]
    return [
        *source_options(source, limits.source_pixels),
        *("-t", f"{limits.seconds + 2 * SLACK_SECONDS + 1:g}"),
        *("-map", "0:V:0", "-an", "-sn", "-dn"),
        *("-vf", ",".join(filters)),
        *("-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"),
    ]


def _encoding(path: Path, shape: tuple[int, int], fps: float) -> list[str]:
    height, width = shape
    return [
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}"),
        *("-i", "pipe:0", "-vf", "scale=out_color_matrix=bt709:out_range=tv"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
        *(*_COLOUR, "-threads", "2", "-y", f"file:{path}"),
    ]


def _add_sound(silent: Path, source: Path, out: Path, info: ClipInfo, limits: ClipLimits) -> str:
    """Combine the labelled frames with the clip's sound; return `LabelledClip.sound`."""
    output = [
        *("-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart"),
        *("-y", f"file:{out}"),
    ]
    video = ["-i", f"file:{silent}"]
    commands = []
    if info.sound:
        with_sound = [
            *(*video, *source_options(source, limits.source_pixels)),
            *("-t", f"{limits.seconds + 1:g}", "-map", "0:v", "-map", "1:a:0", "-c:v", "copy"),
        ]
        if info.sound in _MP4_SOUND:
            commands.append(("kept", [*with_sound, "-c:a", "copy", *output]))
        commands.append(("recoded", [*with_sound, "-c:a", "aac", "-b:a", "128k", *output]))
    commands.append(("lost" if info.sound else "none", [*video, "-c", "copy", *output]))
    for sound, command in commands:
        with FfmpegProcess(command) as child:
            if child.finish() == 0:
                return sound
            messages = child.messages
    raise VideoError(f"The labelled clip could not be written: {messages}")
