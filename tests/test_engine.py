import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

import segmentation
import tiny
from page.engine import EMBEDDED, Engine
from page.options import Options
from page.work import Report, with_reports
from segmentation import ImageError, ModelError, WeightsError


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def engine(tiny_program):
    return Engine(Options(model=str(tiny_program), device="cpu"))


def test_nothing_is_loaded_before_the_first_call(monkeypatch):
    monkeypatch.setattr(segmentation, "load", lambda *a, **k: pytest.fail("loaded"))
    engine = Engine(Options(model="deeplabv3_resnet50"))
    assert engine.names()[0] == "deeplabv3_resnet50"


def test_a_photo_is_labelled_by_the_chosen_program(engine):
    answer = engine.segment(png(tiny.photo()))
    assert answer.result.model == "colour_net"
    present = {area.index for area in answer.result.areas()}
    assert present == {0, tiny.PERSON, tiny.CAT, tiny.DOG}
    assert answer.result.class_map[20, 10] == tiny.PERSON
    assert not answer.waiting


def test_reports_say_what_is_happening(engine):
    said = []
    engine.segment(png(tiny.photo()), report=Report(lambda text, fraction: said.append(text)))
    assert said == [
        "Reading the weights of colour_net …",
        "Reading the photo …",
        "Labelling every pixel …",
    ]


def test_another_size_is_another_answer(engine):
    first, second = engine.segment(png(tiny.photo())), engine.segment(png(tiny.photo()), size=96)
    assert first.key != second.key
    assert second.result.logits.shape != first.result.logits.shape


def test_a_program_answers_to_its_path_file_name_and_stem(engine, tiny_program):
    for name in (str(tiny_program), "colour_net.pt2", "colour_net", "", None):
        assert engine.resolve(name) == str(tiny_program)


def test_a_visitor_cannot_name_a_file(engine, tmp_path):
    other = tiny.save_program(tmp_path / "other.pt2")
    with pytest.raises(ModelError, match=r"There is no model .*other\.pt2.* Choose one of: colour"):
        engine.segment(png(tiny.photo()), str(other))


def test_bad_photos_raise_and_the_next_one_works(engine):
    with pytest.raises(ImageError):
        engine.segment(b"")
    assert engine.segment(png(tiny.photo())).result.class_map[20, 10] == tiny.PERSON


def test_upload_limits_reach_the_door(tiny_program):
    engine = Engine(Options(model=str(tiny_program), max_megapixels=0.001))
    with pytest.raises(ImageError, match="megapixel"):
        engine.segment(png(tiny.photo()))
    engine = Engine(Options(model=str(tiny_program), max_upload_mb=0.0001))
    with pytest.raises(ImageError, match="MB"):
        engine.segment(png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)))


@pytest.fixture
def no_weights(monkeypatch, tmp_path, tiny_program):
    """No published weights here; the built-in model is the tiny program; downloads are scripted."""
    go, outcome = threading.Event(), {}

    def fetch(spec, progress):
        progress(5_000_000, 10_000_000)
        assert go.wait(10)
        if "error" in outcome:
            raise outcome["error"]

    def load(name, **options):
        return real_load(str(tiny_program), device="cpu")

    real_load = segmentation.load
    monkeypatch.setattr(segmentation, "load", load)
    monkeypatch.setattr(segmentation, "find_weights", lambda spec: None)
    monkeypatch.setattr(segmentation, "fetch_weights", fetch)
    monkeypatch.setattr(segmentation, "has_embedded", lambda: True)
    return go, outcome


def test_the_built_in_model_answers_while_weights_arrive(no_weights):
    go, _ = no_weights
    engine = Engine(Options(model="deeplabv3_resnet50"))
    answer = engine.segment(png(tiny.photo()))
    assert answer.waiting
    assert answer.asked == "deeplabv3_resnet50"
    assert list(engine.predictors.loaded) == [EMBEDDED]
    assert "deeplabv3_resnet50 is not on this machine yet" in answer.notes[0]
    download = engine.downloads.get("deeplabv3_resnet50")
    assert not download.finished.is_set()
    go.set()
    assert download.finished.wait(5)
    assert download.sentence() == "The weights of deeplabv3_resnet50 are here."


def test_without_a_stand_in_the_download_is_awaited_and_reported(no_weights):
    go, _ = no_weights
    engine = Engine(Options(model="deeplabv3_resnet50"))
    said = []

    def report(text, fraction):
        said.append((text, fraction))
        if "MB" in text:
            go.set()

    answer = engine.segment(
        png(tiny.photo()), "deeplabv3_resnet50", stand_in=False, report=Report(report)
    )
    assert not answer.waiting
    assert ("Downloading the weights of deeplabv3_resnet50: 5 of 10 MB …", 0.5) in said


def test_a_failed_download_is_told_and_can_be_tried_again(no_weights):
    go, outcome = no_weights
    outcome["error"] = WeightsError("no way out of here")
    go.set()
    engine = Engine(Options(model="deeplabv3_resnet50"))
    with pytest.raises(WeightsError, match="no way out of here"):
        engine.segment(png(tiny.photo()), stand_in=False)
    del outcome["error"]
    assert engine.segment(png(tiny.photo()), stand_in=False).result.model == "colour_net"


def test_with_reports_passes_reports_result_and_errors():
    def work(report):
        report("half", 0.5)
        return "done"

    assert list(with_reports(work)) == [("half", 0.5), "done"]
    with pytest.raises(ZeroDivisionError):
        list(with_reports(lambda report: 1 / 0))


def test_a_photo_is_opened_by_a_decoder_once(engine, tmp_path, monkeypatch):
    from PIL import ImageFile

    path = tmp_path / "photo.png"
    path.write_bytes(png(tiny.photo()))
    opened, read = [], []
    init, os_open = ImageFile.ImageFile.__init__, os.open

    def counted(self, *args, **kwargs):
        opened.append(type(self).__name__)
        init(self, *args, **kwargs)

    def counted_open(name, *args, **kwargs):
        read.extend([name] * (name == str(path)))
        return os_open(name, *args, **kwargs)

    monkeypatch.setattr("segmentation.images.decoder.apart", False)  # here, to be counted
    monkeypatch.setattr(ImageFile.ImageFile, "__init__", counted)
    monkeypatch.setattr("segmentation.image_files.os.open", counted_open)
    engine.segment(str(path), session="ana")
    assert opened == ["PngImageFile"]
    # to be checked and named before it waits, and when its turn has come
    assert len(read) == 2
    assert engine.segment(str(path), session="ana").result.model == "colour_net"  # from memory
    assert (len(opened), len(read)) == (1, 3)
