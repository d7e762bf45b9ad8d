"""A short clip in, the same clip with its labels laid over it out, sound kept.

Frames go one by one from FFmpeg through the network and back into FFmpeg: memory does not depend on
the clip's length. They are thinned to a steady rate by their times (so a phone's uneven frames keep
step with the sound), turned upright, made square-pixelled and no larger than the limits, and their
labels are smoothed over time (`smoothing.py`). Nothing of the clip's metadata, such as the place
where it was taken, is handed on.
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
"""A clip of "20 s" may last a frame or two longer."""
_MP4_SOUND = ("aac", "mp3")  # what browsers play from an MP4 file
_COLOUR = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")


@dataclass(frozen=True)
class LabelledClip:
    """What came of a clip.

    Attributes:
        path: the MP4 file (H.264, and the sound where there was one).
        frames: how many frames it has.
        height, width: of each, in pixels; both even.
        fps: frames a second.
        sound: "kept" as it was, "recoded" for MP4, "none" in the clip, or "lost".
        note: what a person should know about its colours; mostly empty.
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
        VideoError: no FFmpeg, no such file, no clip, or too much of it.
    """
    limits, path = limits or ClipLimits(), Path(path)
    if not path.is_file():
        raise VideoError(f"There is no file {path.name!r}.")
    size = path.stat().st_size
    if size > limits.megabytes * 2**20:
        raise VideoError(
            f"This clip has {size / 2**20:.1f} MB; at most {limits.megabytes:g} MB are taken. "
            "Cut it shorter or save it smaller."
        )
    if ends_too_early(path):
        raise VideoError(CUT)
    facts = probe(path, limits.source_pixels)
    if facts.height * facts.width > limits.source_pixels:
        raise VideoError(
            f"This clip's frames have {facts.width} x {facts.height} pixels; at most "
            f"{limits.source_pixels / 1e6:g} megapixels are taken (4K). Save it smaller."
        )
    if facts.seconds is not None and facts.seconds > limits.seconds + SLACK_SECONDS:
        raise VideoError(
            f"This clip lasts {facts.seconds:.1f} s; at most {limits.seconds:g} s are taken. "
            "Cut it shorter."
        )
    conversion(facts.colour)  # or it says that there is none
    return facts


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
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> LabelledClip:
    """Lay a clip's labels over it.

    Args:
        source: the clip's file.
        out: the MP4 file to write; it appears when it is whole.
        segmenter: labels the frames.
        size: shorter side that the network sees; None for the model's own.
        alpha: opacity of the colours, 0 to 1; the background stays clear.
        limits: see `ClipLimits`; None for its defaults.
        smoother: joins the frames' answers; None for a new `Smoother`.
        progress: called with (frames done, frames in all or None) before each frame and at the
            end. Whatever it raises ends the work: no child process and no file is left.
        turn: makes a context in which the network runs once, so that others may have it between
            two frames.

    Returns:
        What came of it.

    Raises:
        VideoError: see `check_clip`; or the clip turns out to be longer or broken on the way.
        ModelError: the network fails.
    """
    limits, source, out = limits or ClipLimits(), Path(source), Path(out)
    facts = check_clip(source, limits)
    fps = min(max(facts.fps or limits.fps, 1.0), limits.fps)
    total = max(1, round(facts.seconds * fps)) if facts.seconds else None
    painter = _FrameLabeler(segmenter, size, alpha, smoother or Smoother(), 1 / fps, turn)
    with tempfile.TemporaryDirectory(prefix=".clip-", dir=out.parent) as folder:
        silent = Path(folder, "silent.mp4")
        silent.touch()
        frames, shape = 0, (0, 0)
        colours = conversion(facts.colour)
        if colours:
            Path(folder, "to_srgb.cube").write_text(colours.table())
        decoding = _decoding(source, limits, fps, colours.filters() if colours else [])
        with FfmpegProcess(decoding, folder) as decoder, _Encoder(silent, fps) as encoder:
            for frame in read_frames(decoder):
                _check_length(frames, fps, limits)
                progress(frames, total)
                encoder.write(painter(frame))
                frames, shape = frames + 1, frame.shape[:2]
            _check_decoded(decoder, frames)
            encoder.finish()
        progress(frames, frames)
        sound = _add_sound(silent, source, Path(folder, "whole.mp4"), facts, limits)
        os.replace(Path(folder, "whole.mp4"), out)
    return LabelledClip(out, frames, *shape, fps, sound, colours.note if colours else "")


def _check_length(frames: int, fps: float, limits: ClipLimits) -> None:
    """Raise a `VideoError` where more frames have come than the limit allows."""
    if frames > (limits.seconds + SLACK_SECONDS) * fps:
        raise VideoError(
            f"This clip lasts longer than {limits.seconds:g} s, the most that is taken. "
            "Cut it shorter."
        )


def _check_decoded(decoder: FfmpegProcess, frames: int) -> None:
    """Raise a `VideoError` where the decoder has not given the whole clip."""
    if decoder.cut_short:
        raise VideoError(CUT)
    if not frames:
        raise VideoError(f"No frame of this clip can be decoded. {decoder.said}".strip())
    if decoder.finish() != 0:  # killed, or out of memory: what is there is not the clip
        raise VideoError(
            f"FFmpeg ended after {frames} frames of this clip, before its end. "
            f"{decoder.said}".strip()
        )


class _FrameLabeler:
    """Labels frames and lays the colours over them."""

    def __init__(
        self,
        segmenter: Segmenter,
        size: int | None,
        alpha: float,
        smoother: Smoother,
        elapsed: float,
        turn: Callable[[], AbstractContextManager[object]],
    ) -> None:
        card = segmenter.model.card
        self._palette = palette_from_card(card.palette, len(card.categories))
        self._clear = [i for i, name in enumerate(card.categories) if name in BACKGROUND_NAMES]
        self._segmenter, self._size, self._alpha = segmenter, size, alpha
        self._smoother, self._elapsed, self._turn = smoother, elapsed, turn

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB to the same with colours."""
        with self._turn():
            logits = self._segmenter.logits(frame, size=self._size)
            scores = self._smoother(logits, frame, self._elapsed)
            class_map, _, _ = decide(scores, frame.shape[:2])
        shown = ~np.isin(class_map, self._clear)
        return blend(frame, colorize(class_map, self._palette), self._alpha, mask=shown)


class _Encoder:
    """Writes frames as H.264; the child starts with the first one, whose size it needs."""

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
        """Add an (H, W, 3) uint8 RGB frame; all have one size."""
        if self._child is None:
            self._shape = frame.shape
            self._child = FfmpegProcess(_encoding(self._path, frame.shape[:2], self._fps))
        if frame.shape != self._shape:
            raise VideoError("This clip's frames change their size on the way. Save it anew.")
        self._child.write(memoryview(np.ascontiguousarray(frame)).cast("B"))

    def finish(self) -> None:
        """Complete the file."""
        if self._child is not None and self._child.finish() != 0:
            raise VideoError(f"The labelled clip could not be written: {self._child.said}")


def _decoding(source: Path, limits: ClipLimits, fps: float, colours: list[str]) -> list[str]:
    side = limits.longest
    filters = [
        # from time 0 on, so that a picture that begins later than the sound stays in step with it
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


def _add_sound(silent: Path, source: Path, whole: Path, facts: ClipInfo, limits: ClipLimits) -> str:
    """Join the labelled picture and the clip's own sound; returns `LabelledClip.sound`."""
    ends = ("-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart", "-y")
    last = [*ends, f"file:{whole}"]
    picture = ["-i", f"file:{silent}"]
    tries = []
    if facts.sound:
        both = [
            *(*picture, *source_options(source, limits.source_pixels)),
            *("-t", f"{limits.seconds + 1:g}", "-map", "0:v", "-map", "1:a:0", "-c:v", "copy"),
        ]
        if facts.sound in _MP4_SOUND:
            tries.append(("kept", [*both, "-c:a", "copy", *last]))
        tries.append(("recoded", [*both, "-c:a", "aac", "-b:a", "128k", *last]))
    tries.append(("lost" if facts.sound else "none", [*picture, "-c", "copy", *last]))
    for sound, command in tries:
        with FfmpegProcess(command) as child:
            if child.finish() == 0:
                return sound
            said = child.said
    raise VideoError(f"The labelled clip could not be written: {said}")
