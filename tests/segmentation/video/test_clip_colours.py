"""HDR clips come out as a screen shows them; clips cut short are told."""

import functools
import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

import segmentation
from segmentation import VideoError
from segmentation.images.hdr_color import HLG, PQ, Colour, conversion, to_srgb
from segmentation.video.ffmpeg import FfmpegProcess, parse_clip_info, read_frames
from segmentation.video.labeler import check_clip, label_clip

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")

BARS = np.array(
    [(220, 30, 30), (30, 200, 40), (40, 60, 220), (230, 210, 40), (120, 120, 120), (250, 250, 250)]
)
# BT.2087: linear RGB of BT.709 in primaries of BT.2020
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def light():
    """The bars as light, white 1, in primaries of BT.2020: (6, 3)."""
    values = BARS / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ TO_2020.T


def pq(nits):
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(scene):
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def camera(values):
    return np.where(values < 0.018, 4.5 * values, 1.099 * values**0.45 - 0.099)


SIGNALS = {
    "PQ": lambda: pq(203 * light()),
    "HLG": lambda: hlg(0.2645 * light()),  # white at 75 %
    "BT.2020": lambda: camera(light()),
}
TRANSFERS = {"PQ": "smpte2084", "HLG": "arib-std-b67", "BT.2020": "bt2020-10"}


def film(path: Path, kind: str, *, codec="libx265", told=True, pixels="yuv420p10le") -> Path:
    """One second of the bars, 96 x 64, ten bits."""
    picture = np.rint(65535 * SIGNALS[kind]()).astype("<u2").repeat(16, 0)[None].repeat(64, 0)
    tags = f":color_primaries=bt2020:color_trc={TRANSFERS[kind]}" if told else ""
    x265 = "log-level=error:colormatrix=bt2020nc"
    if told:
        x265 += f":colorprim=bt2020:transfer={TRANSFERS[kind]}"
    coder = ["-x265-params", x265] if codec == "libx265" else ["-crf", "10", "-b:v", "0"]
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo"),
            *("-pix_fmt", "rgb48le", "-s", "96x64", "-r", "10", "-i", "-"),
            *(
                "-vf",
                f"scale=out_color_matrix=bt2020:out_range=tv,format={pixels},"
                f"setparams=colorspace=bt2020nc:range=tv{tags}",
            ),
            *("-c:v", codec, *coder),
            str(path),
        ],
        input=picture.tobytes() * 10,
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def segmenter(tiny_program):
    return segmentation.load(tiny_program, device="cpu")


def bars_of(path: Path) -> np.ndarray:
    """The middle of each bar in a clip's first frame, (6, 3)."""
    with FfmpegProcess(["-i", str(path), "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]) as child:
        frame = next(read_frames(child))
    return frame[24:40, 8::16].astype(float).mean(0)


slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance", "note"),
    [
        ("PQ", {}, 12, "HDR (PQ), shown as SDR"),
        ("HLG", {}, 12, "HDR (HLG), shown as SDR"),
        ("HLG", {"told": False}, 12, "taken for HDR (HLG), shown as SDR"),
        slow("HLG", {"pixels": "yuv444p10le"}, 12, "HDR (HLG), shown as SDR"),
        slow("PQ", {"codec": "libvpx-vp9"}, 12, "HDR (PQ), shown as SDR"),
        # in the curve that clips of BT.709 have, too: grays stay
        ("BT.2020", {}, 20, "its colours (BT.2020) are shown as sRGB"),
        slow(
            "BT.2020",
            {"pixels": "yuv420p", "told": False},
            24,
            "its colours (BT.2020) are shown as sRGB",
        ),
    ],
)
def test_the_bars_of_an_hdr_clip_are_what_they_were(
    kind, options, tolerance, note, segmenter, tmp_path
):
    ending = "webm" if "codec" in options else "mp4"
    source = film(tmp_path / f"source.{ending}", kind, **options)
    made = label_clip(source, tmp_path / "out.mp4", segmenter, alpha=0.0)
    assert made.note == note
    assert np.abs(bars_of(made.path) - BARS).max() <= tolerance
    assert np.abs(bars_of(made.path)[5] - 250).max() <= 8  # white stays white
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", source.name]


@pytest.mark.shared
def test_a_phones_clip_beside_the_checkout_is_converted(shared, segmenter, tmp_path):
    source = shared / "cases/cases/hlg.mp4"
    if not source.is_file():
        pytest.skip("no such clip there")
    made = label_clip(source, tmp_path / "out.mp4", segmenter, alpha=0.0)
    assert np.abs(bars_of(made.path) - BARS).max() <= 8


def test_the_page_tells_of_the_colours():
    from page.live_texts import clip_done

    told = clip_done(10, 10.0, 64, 96, "none", "m", note="HDR (PQ), shown as SDR")
    assert "no sound in it; HDR (PQ), shown as SDR. Labelled" in told
    assert "no sound in it. Labelled" in clip_done(10, 10.0, 64, 96, "none", "m")


def test_an_ordinary_clip_is_taken_as_it_is():
    for colour in (Colour(), Colour("bt709", "bt709", "bt709"), Colour(bits=10)):
        assert conversion(colour) is None
    assert conversion(Colour("smpte170m", "smpte170m", "smpte170m")) is None


def test_the_curves_meet_their_published_points():
    def gray(signal, transfer):
        return 255 * to_srgb(np.full((1, 3), signal), "bt2020", transfer)[0]

    # BT.2408, table 1: diffuse white, and 18 % gray at 26 cd/m2
    for transfer, white, middle in ((PQ, 0.58, 0.38), (HLG, 0.75, 0.38)):
        np.testing.assert_allclose(gray(white, transfer), 251, atol=1)
        assert 98 <= gray(middle, transfer).mean() <= 122  # 18 % is 118 in sRGB
        assert gray(0.0, transfer).max() < 0.5
        assert 254 <= gray(1.0, transfer).min() <= 255.5
    rising = [gray(step / 50, PQ).mean() for step in range(51)]
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(rising))


def test_what_cannot_be_converted_is_named():
    for colour, name in (
        (Colour("ictcp", "bt2020", "smpte2084", 10), "ictcp"),
        (Colour("bt2020c", "bt2020", "bt2020-10", 10), "bt2020c"),
        (Colour(bits=10, dolby=True), "Dolby Vision, profile 5"),
    ):
        with pytest.raises(VideoError, match=f"HDR of a kind .{name}. that is not converted"):
            conversion(colour)


LINE = "  Stream #0:0[0x1](und): Video: hevc (Main 10) (hvc1 / 0x31637668), {}, 1920x1080, 30 fps\n"


@pytest.mark.parametrize(
    ("words", "colour"),
    [
        ("yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67, progressive)",
         Colour("bt2020nc", "bt2020", HLG, 10)),
        ("yuv420p10le(pc, bt2020nc/bt2020/smpte2084)", Colour("bt2020nc", "bt2020", PQ, 10)),
        ("p010le(tv, bt2020nc/unknown/unknown)", Colour("bt2020nc", bits=10)),
        ("yuv444p12le(bt2020nc/bt2020/smpte2084)", Colour("bt2020nc", "bt2020", PQ, 12)),
        ("yuv420p(tv, bt709, progressive)", Colour()),
        ("yuv420p(progressive)", Colour()),
        ("yuv420p", Colour()),
        ("yuvj420p(pc, bt470bg/smpte432/bt709)", Colour("bt470bg", "smpte432", "bt709")),
    ],
)  # fmt: skip
def test_colours_are_read_from_what_ffmpeg_prints(words, colour):
    assert parse_clip_info(LINE.format(words)).colour == colour
    dolby = "      DOVI configuration record: version: 1.0, profile: 5, level: 4, rpu flag: 1\n"
    assert parse_clip_info(LINE.format(words) + dolby).colour == colour._replace(dolby=True)
    eight = dolby.replace("profile: 5", "profile: 8")
    assert parse_clip_info(LINE.format(words) + eight).colour == colour


@pytest.fixture(scope="module")
def whole_clip(segmenter, tmp_path_factory):
    """Makes a clip of three seconds, which can be labelled as it is; the same one each time."""
    folder = tmp_path_factory.mktemp("whole")

    @functools.cache
    def make(ending: str, sound: bool) -> bytes:
        clip = folder / f"whole {sound}.{ending}"
        coder = "libvpx" if ending == "webm" else "libx264"
        tone = ["-f", "lavfi", "-i", "sine=d=3"] if sound else []
        first = ["-movflags", "+faststart"] if ending in ("mp4", "mov") else []
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi"]
        command += ["-i", "testsrc2=s=96x64:r=10:d=3", *tone, "-c:v", coder, "-pix_fmt", "yuv420p"]
        subprocess.run([*command, *first, str(clip)], check=True)
        assert label_clip(clip, folder / "out.mp4", segmenter).frames >= 30
        return clip.read_bytes()

    return make


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm", "avi"])
@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_clip_cut_short_says_so(ending, sound, share, whole_clip, segmenter, tmp_path):
    data, cut = whole_clip(ending, sound), tmp_path / f"cut.{ending}"
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(VideoError, match="This clip is cut short"):
        label_clip(cut, tmp_path / "other.mp4", segmenter)
    assert not (tmp_path / "other.mp4").exists()


def test_a_clip_whose_index_is_missing_says_so(tmp_path):
    clip = film(tmp_path / "whole.mp4", "HLG")  # the index comes last
    cut = tmp_path / "cut.mp4"
    box = clip.read_bytes().rindex(b"moov") - 4
    for lost in (1, 200, 1000, clip.stat().st_size - box):
        cut.write_bytes(clip.read_bytes()[:-lost])
        with pytest.raises(VideoError, match="This clip is cut short"):
            check_clip(cut)
    cut.write_bytes(clip.read_bytes() + bytes(100))  # something behind it does no harm
    assert check_clip(cut).seconds == 1.0
