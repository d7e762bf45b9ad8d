"""Clips made by FFmpeg itself: what comes out, what is refused, and that nothing is left behind."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import segmentation
from helpers import tiny
from segmentation import VideoError, voc_palette
from segmentation.video.ffmpeg import FfmpegProcess, parse_clip_info, probe, read_frames
from segmentation.video.labeler import ClipLimits, check_clip, label_clip
from segmentation.video.smoothing import Smoother

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")
PIXELS = 9_000_000


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    subprocess.run([*command, *arguments], check=True, stdin=subprocess.DEVNULL)


def squares(path: Path, *, frames: int = 20, fps: int = 10, sound: str = "aac", more=()) -> Path:
    """A red square that moves from left to right over black, 160 x 96, and a tone."""
    film = np.zeros((frames, 96, 160, 3), np.uint8)
    for number, frame in enumerate(film):
        left = 4 * number
        frame[32:72, left : left + 40, 0] = 255
    raw = path.with_suffix(".rgb")
    film.tofile(raw)
    video = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "160x96", "-r", str(fps), "-i", str(raw)]
    tone = ["-f", "lavfi", "-i", f"sine=d={frames / fps}", "-c:a", sound] if sound else []
    ffmpeg(*video, *tone, "-c:v", "libx264", "-crf", "10", "-pix_fmt", "yuv444p", *more, str(path))
    raw.unlink()
    return path


def frames_of(path: Path) -> np.ndarray:
    """(N, H, W, 3) uint8 of a clip."""
    arguments = ["-i", str(path), "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
    with FfmpegProcess(arguments) as child:
        return np.stack(list(read_frames(child)))


@pytest.fixture(scope="module")
def segmenter(tiny_program):
    return segmentation.load(tiny_program, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return squares(tmp_path_factory.mktemp("clip") / "squares.mp4")


def test_the_square_is_a_person_in_every_frame_and_the_sound_is_kept(segmenter, clip, tmp_path):
    steps = []
    made = label_clip(
        clip,
        tmp_path / "out.mp4",
        segmenter,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert (made.frames, made.height, made.width, made.fps) == (20, 96, 160, 10)
    assert made.sound == "kept"
    assert steps == [*((n, 20) for n in range(20)), (20, 20)]
    person = voc_palette()[tiny.PERSON].astype(float)
    expected = 0.4 * np.array([255, 0, 0]) + 0.6 * person
    film = frames_of(made.path)
    for number, frame in enumerate(film):
        left = 4 * number
        inside = frame[44:60, left + 12 : left + 28].reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(inside, expected, atol=12)
        if left >= 24:  # where it was six frames ago there is no ghost of it
            behind = frame[44:60, left - 20 : left - 10].reshape(-1, 3).mean(axis=0)
            np.testing.assert_allclose(behind, 0, atol=6)
    before, after = probe(clip, PIXELS), probe(made.path, PIXELS)
    assert after.sound == before.sound == "aac"
    assert after.seconds == pytest.approx(before.seconds, abs=0.15)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_browser_can_play_it_from_the_first_byte(segmenter, clip, tmp_path):
    data = label_clip(clip, tmp_path / "out.mp4", segmenter).path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert b"avc1" in data
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "out.mp4"], capture_output=True
    ).stderr.decode()
    assert "yuv420p(tv, bt709" in said


@pytest.mark.parametrize(
    ("name", "sound", "became"),
    [("a.mkv", "libvorbis", "recoded"), ("b.mkv", "mp3", "kept"), ("c.mp4", "", "none")],
)
def test_sound_that_mp4_cannot_carry_is_recoded(segmenter, tmp_path, name, sound, became):
    source = squares(tmp_path / name, frames=6, sound=sound)
    made = label_clip(source, tmp_path / "out.mp4", segmenter)
    assert made.sound == became
    assert (probe(made.path, PIXELS).sound is None) == (became == "none")


def test_many_frames_are_thinned_and_large_ones_made_smaller(segmenter, tmp_path):
    source = squares(tmp_path / "fast.mp4", frames=60, fps=60)
    limits = ClipLimits(longest=81, fps=15)
    made = label_clip(source, tmp_path / "out.mp4", segmenter, limits=limits)
    assert made.fps == 15
    assert made.frames == pytest.approx(15, abs=1)
    assert (made.height, made.width) == (48, 80)


def test_a_turned_phone_clip_stands_upright(segmenter, clip, tmp_path):
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(turned))
    made = label_clip(turned, tmp_path / "out.mp4", segmenter)
    assert (made.height, made.width) == (160, 96)


def test_odd_sides_and_oblong_pixels(segmenter, tmp_path):
    source = tmp_path / "odd.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=75x41:d=0.5:r=8", "-vf", "setsar=2", str(source))
    made = label_clip(source, tmp_path / "out.mp4", segmenter)
    assert (made.height, made.width) == (40, 150)


def test_a_place_in_the_metadata_is_not_handed_on(segmenter, tmp_path):
    place = ("-metadata", "location=+48.2+016.3/", "-metadata", "title=secret")
    source = squares(tmp_path / "place.mp4", frames=4, more=place)
    assert b"secret" in source.read_bytes()
    data = label_clip(source, tmp_path / "out.mp4", segmenter).path.read_bytes()
    assert b"secret" not in data
    assert b"+48.2" not in data


def test_noise_flickers_less_than_frame_by_frame(segmenter, tmp_path):
    source = tmp_path / "noise.mkv"
    grey = "color=c=0x550000:s=96x64:r=10:d=2,noise=alls=12:allf=t"
    ffmpeg("-f", "lavfi", "-i", grey, "-c:v", "ffv1", str(source))

    def changes(smoother: Smoother) -> float:
        made = label_clip(source, tmp_path / "out.mp4", segmenter, alpha=1.0, smoother=smoother)
        person = frames_of(made.path)[..., 1] > 64  # the picture itself has hardly any green
        return float(np.mean(person[1:] != person[:-1]))

    raw = changes(Smoother(seconds=1e-6, hysteresis=1.0))
    assert raw > 0.01
    assert changes(Smoother()) < 0.5 * raw


class LeftError(Exception):
    pass


def test_who_cancels_leaves_no_child_and_no_file(segmenter, clip, tmp_path):
    def leave(done: int, total: int | None) -> None:
        if done == 5:
            raise LeftError

    before = threading.active_count()
    with pytest.raises(LeftError):
        label_clip(clip, tmp_path / "out.mp4", segmenter, progress=leave)
    assert list(tmp_path.iterdir()) == []
    children = subprocess.run(["ps", "--ppid", str(os.getpid())], capture_output=True)
    assert b"ffmpeg" not in children.stdout
    for thread in threading.enumerate():
        if thread.name == "ffmpeg":
            thread.join(5)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ClipLimits(seconds=1.2), r"lasts 2\.0 s; at most 1\.2 s"),
        (ClipLimits(megabytes=0.001), r"has 0\.0 MB; at most 0\.001 MB"),
        (ClipLimits(source_pixels=10_000), r"160 x 96 pixels; at most 0\.01 megapixels"),
    ],
)
def test_limits_are_told_with_their_numbers(clip, limits, message):
    with pytest.raises(VideoError, match=message):
        check_clip(clip, limits)


def test_a_length_that_is_not_told_is_counted(segmenter, tmp_path):
    source = tmp_path / "live.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=4:r=10", "-live", "1", str(source))
    assert probe(source, PIXELS).seconds is None
    with pytest.raises(VideoError, match="longer than the limit of 2 s"):
        label_clip(source, tmp_path / "out.mp4", segmenter, limits=ClipLimits(seconds=2))
    made = label_clip(source, tmp_path / "out.mp4", segmenter)
    assert made.frames == 40


def test_a_cut_file_gives_what_it_has_or_a_sentence(segmenter, clip, tmp_path):
    data = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    for share in (0.02, 0.3, 0.7):
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(VideoError):
            label_clip(cut, tmp_path / "out.mp4", segmenter)


SECRET = "the contents of another file"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {clip}\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("words.mp4", "dear diary"),
        ("empty.mp4", ""),
    ],
)
def test_a_list_of_other_files_is_no_clip(segmenter, clip, tmp_path, name, text):
    asked = []
    server = _listening(asked)
    url = f"http://127.0.0.1:{server.server_port}/a.ts"
    source = tmp_path / name
    source.write_text(text.format(clip=clip, url=url))
    with pytest.raises(VideoError, match="not a readable clip"):
        label_clip(source, tmp_path / "out.mp4", segmenter)
    server.shutdown()
    server.server_close()
    assert asked == []


def _listening(asked: list[str]):
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_name_is_never_an_option_or_a_protocol(segmenter, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-y.mp4", "concat:a|b.mp4", "http:x.mp4", "a%03d.mp4"):
        Path(name).write_bytes(clip.read_bytes())
        assert check_clip(name).width == 160


def test_sound_alone_is_no_clip(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", str(tmp_path / "tone.m4a"))
    with pytest.raises(VideoError, match="has no video"):
        check_clip(tmp_path / "tone.m4a")
    with pytest.raises(VideoError, match=r"no file 'nowhere\.mp4'"):
        check_clip(tmp_path / "nowhere.mp4")


def test_without_the_extra_the_remedy_is_named(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(VideoError, match=r'pip install imageio-ffmpeg .*"pixelwise\[video\]"'):
        check_clip(clip)


def test_the_header_in_words_becomes_numbers():
    said = """Input #0, mov,mp4, from 'file:x':
  Duration: 00:01:02.50, start: 0.0, bitrate: 1 kb/s
  Stream #0:0[0x1](und): Video: mjpeg (Baseline), yuvj420p, 600x600, 90k tbr (attached pic)
  Stream #0:1[0x2](und): Video: h264 (avc1 / 0x31637661), yuv420p, 1920x1080 [SAR 1:1], 29.97 fps
  Stream #0:2[0x3](eng): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo
"""
    facts = parse_clip_info(said)
    assert (facts.seconds, facts.fps, facts.sound) == (62.5, 29.97, "aac")
    assert (facts.height, facts.width) == (1080, 1920)
