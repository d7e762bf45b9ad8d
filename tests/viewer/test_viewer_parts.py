"""The viewer's Python half, and its JavaScript functions in Node."""

import io
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.gossip import SECRET, gossip, segments_of
from helpers.viewer_app import made_up_result, own_classes
from segmentation.errors import PixelwiseError
from segmentation.images.label_png import decode_label_map
from segmentation.images.photo import open_photo
from segmentation.palette import safe_palette, voc_palette
from viewer import LabelViewer, PixelAnswer, PixelBars, build_value, keep_file, pixel_value
from viewer.component import (
    ANSWER_SCRIPTS,
    BARS_SCRIPTS,
    SCRIPTS,
    STATIC,
    STYLES,
    join_scripts,
    read_static,
)
from viewer.live import LIVE_SCRIPTS
from viewer.payload import encode_photo

ROOT = Path(__file__).resolve().parents[2]
ALL_SCRIPTS = (SCRIPTS, ANSWER_SCRIPTS, BARS_SCRIPTS, LIVE_SCRIPTS)
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node on this machine")


@needs_node
def test_pure_functions_in_node():
    files = sorted(map(str, (ROOT / "tests" / "viewer" / "js").glob("*.test.mjs")))
    done = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(files) == 5


@needs_node
@pytest.mark.parametrize("names", ALL_SCRIPTS)
def test_joined_scripts_are_one_function_body(names, tmp_path):
    text = join_scripts(names)
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    whole = f"(function (element, trigger, props, server, upload, watch) {{\n{text}\n}});\n"
    (tmp_path / "joined.cjs").write_text(whole, encoding="utf-8")
    done = subprocess.run(
        [NODE, "--check", str(tmp_path / "joined.cjs")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_script_is_shipped_after_those_it_imports():
    shipped = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}
    assert shipped == set().union(*ALL_SCRIPTS)
    for names in ALL_SCRIPTS:
        for place, name in enumerate(names):
            folder = (STATIC / name).parent
            used = re.findall(r'^(?:import|\}) .*from "(\.[^"]+)"', read_static(name), re.MULTILINE)
            paths = {(folder / path).resolve().relative_to(STATIC).as_posix() for path in used}
            assert paths <= set(names[:place]), name


def test_every_stylesheet_is_shipped():
    shipped = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.css")}
    assert shipped == {*STYLES, "bars/bars.css", "live/live.css"}


@pytest.mark.parametrize(
    "name",
    [
        path.relative_to(STATIC).as_posix()
        for kind in ("css", "html")
        for path in STATIC.rglob(f"*.{kind}")
    ],
)
def test_templates_hold_nothing_that_gradio_would_expand(name):
    text = read_static(name)
    assert not re.search(r"[\\`]|\$\{|\{\{|@keyframes|https?:", text)


def test_the_files_follow_the_house_style():
    for path in STATIC.rglob("*.*"):
        if path.suffix not in (".js", ".css", ".html"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= 100, f"{path.name}:{number} is longer than 100 columns"
            assert line == line.rstrip(), f"{path.name}:{number} ends in spaces"
            assert "\t" not in line, f"{path.name}:{number} has a tab"


def test_value_describes_result_and_photo(tmp_path):
    result, photo = made_up_result(90, 120)
    value = build_value(result, photo, cache=str(tmp_path), key="k1", note="Upright.")
    assert (value["id"], value["height"], value["width"]) == ("k1", 90, 120)
    assert (value["model"], value["note"], value["palette"]) == ("made-up", "Upright.", "VOC")
    person = value["categories"][15]
    assert person["name"] == person["raw"] == "person"
    assert person["voc"] == "#c08080"
    assert person["safe"] == "#" + bytes(safe_palette()[15]).hex()
    assert value["categories"][11]["name"] == "dining table"
    data = Path(value["labels"]["path"]).read_bytes()
    class_map, confidence, runner_up = decode_label_map(data)
    assert np.array_equal(class_map, result.class_map)
    assert np.array_equal(runner_up, result.runner_up)
    assert np.abs(confidence - result.confidence).max() <= 0.5 / 255 + 1e-6
    assert value["labels"]["meta"] == {"_type": "gradio.FileData"}


def test_photo_goes_out_without_metadata_and_hardly_changed(tmp_path):
    result, photo = made_up_result(90, 120)
    value = build_value(result, photo, cache=str(tmp_path), key="k")
    image = Image.open(value["photo"]["path"])
    assert image.format == "JPEG"
    assert not image.getexif()
    assert "icc_profile" not in image.info
    assert np.abs(np.asarray(image).astype(int) - photo).mean() < 4


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}])
def test_of_a_jpeg_that_tells_much_only_the_picture_goes_out(options):
    data = gossip(**options)
    photo = open_photo(data).image
    for size in (photo.shape[:2], (1300, 1600)):  # the quick way of large photos too
        content = encode_photo(np.resize(photo, (*size, 3)))
        assert SECRET not in content
        found = segments_of(content)
        assert {marker for marker, _ in found} <= {0xC0, 0xC4, 0xDA, 0xDB, 0xE0}
        assert [body for marker, body in found if marker == 0xE0] == [b"JFIF\0\1\1\0\0\1\0\1\0\0"]


def test_own_palette_of_256_classes(tmp_path):
    result, photo, palette = own_classes()
    value = build_value(result, photo, cache=str(tmp_path), key="k", palette=palette)
    assert value["palette"] == "Model’s own"
    assert len(value["categories"]) == 256
    assert value["categories"][200]["voc"] == "#c8374d"


def test_photo_of_another_size_is_refused(tmp_path):
    result, photo = made_up_result(90, 120)
    with pytest.raises(ValueError, match=r"photo is \(90, 119, 3\) uint8, the class map 90 x 120"):
        build_value(result, photo[:, 1:], cache=str(tmp_path), key="k")


def test_pixel_value_agrees_with_the_class_map():
    result, _ = made_up_result(90, 120)
    for y, x in [(0, 0), (50, 33), (89, 119), (20, 60)]:
        value = pixel_value(result, y, x)
        shares = np.array([bar["p"] for bar in value["bars"]])
        assert value["bars"][0]["index"] == result.class_map[y, x]
        assert value["bars"][1]["index"] == result.runner_up[y, x]
        assert shares.sum() == pytest.approx(1, abs=1e-5)
        assert (np.diff(shares) <= 0).all()
        assert len(shares) == 21
        assert value["margin"] == pytest.approx(shares[0] - shares[1], abs=1e-6)
        assert value["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-4)
        assert value["max_entropy"] == pytest.approx(np.log2(21))
        assert value["bars"][0]["voc"] == "#" + bytes(voc_palette()[result.class_map[y, x]]).hex()


def test_pixel_outside_the_photo_is_refused():
    result, _ = made_up_result(90, 120)
    with pytest.raises(PixelwiseError, match=r"pixel \(90, 0\) lies outside"):
        pixel_value(result, 90, 0)


def test_components_write_no_files_beside_their_source_and_can_be_rebuilt():
    assert not list(STATIC.parent.rglob("*.pyi"))
    viewer = LabelViewer(empty_title="Hello", elem_id="v")
    assert viewer.get_config()["props"]["empty_title"] == "Hello"
    # Gradio makes a component anew from its own arguments when a handler returns an update.
    again = LabelViewer(**viewer.constructor_args)
    assert again.get_config()["js_on_load"] == viewer.get_config()["js_on_load"]
    assert PixelBars().api_info() == PixelAnswer().api_info() == {"type": "object"}


def test_label_map_of_a_megapixel_stays_small(tmp_path):
    result, photo = made_up_result(866, 1155)
    value = build_value(result, photo, cache=str(tmp_path), key="k")
    assert Path(value["labels"]["path"]).stat().st_size <= 400_000
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    assert Path(value["photo"]["path"]).stat().st_size < buffer.tell() / 3


def test_a_file_is_whole_however_often_it_is_written_meanwhile(tmp_path):
    data = bytes(range(256)) * 4000
    path = keep_file(data, "labels.png", str(tmp_path))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            assert keep_file(data, "labels.png", str(tmp_path)) == path

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        assert all(path.read_bytes() == data for _ in range(300))
        stop.set()
        for one in writers:
            one.result()
    assert list(path.parent.iterdir()) == [path]
    assert path.name == "labels.png"
