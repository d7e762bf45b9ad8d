import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

import segmentation
from helpers import tiny
from page.options import Options
from page.service.background import Progress, run_with_progress
from page.service.labeling_service import EMBEDDED, LabelingService
from page.texts import download_text, notes, step_text
from segmentation import ImageError, ModelError, WeightsError, open_photo
from segmentation.images.photo import check_photo


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def service(tiny_program):
    return LabelingService(Options(model=str(tiny_program), device="cpu"))


def test_nothing_is_loaded_before_the_first_call(monkeypatch):
    monkeypatch.setattr(segmentation, "load", lambda *a, **k: pytest.fail("loaded"))
    service = LabelingService(Options(model="deeplabv3_resnet50"))
    assert service.model_names()[0] == "deeplabv3_resnet50"


def test_a_photo_is_labelled_by_the_chosen_program(service):
    answer = service.segment(png(tiny.photo()))
    assert answer.result.model == "colour_net"
    present = {area.index for area in answer.result.areas()}
    assert present == {0, tiny.PERSON, tiny.CAT, tiny.DOG}
    assert answer.result.class_map[20, 10] == tiny.PERSON
    assert not answer.request.is_fallback


def test_reports_say_what_is_happening(service):
    said = []
    service.segment(
        png(tiny.photo()), progress=Progress(lambda step, _: said.append(step_text(step)))
    )
    assert said == [
        "Reading the weights of colour_net …",
        "Reading the photo …",
        "Labelling every pixel …",
    ]


def test_another_size_is_another_answer(service):
    first, second = service.segment(png(tiny.photo())), service.segment(png(tiny.photo()), size=96)
    assert first.key != second.key
    assert second.result.logits.shape != first.result.logits.shape


def test_a_program_answers_to_its_path_file_name_and_stem(service, tiny_program):
    for name in (str(tiny_program), "colour_net.pt2", "colour_net", "", None):
        assert service.resolve(name) == str(tiny_program)


def test_a_visitor_cannot_name_a_file(service, tmp_path):
    other = tiny.save_program(tmp_path / "other.pt2")
    with pytest.raises(ModelError, match=r"There is no model .*other\.pt2.* Choose one of: colour"):
        service.segment(png(tiny.photo()), str(other))


def test_bad_photos_raise_and_the_next_one_works(service):
    with pytest.raises(ImageError):
        service.segment(b"")
    assert service.segment(png(tiny.photo())).result.class_map[20, 10] == tiny.PERSON


def test_upload_limits_reach_the_door(tiny_program):
    service = LabelingService(Options(model=str(tiny_program), max_megapixels=0.001))
    with pytest.raises(ImageError, match="megapixel"):
        service.segment(png(tiny.photo()))
    service = LabelingService(Options(model=str(tiny_program), max_upload_mb=0.0001))
    with pytest.raises(ImageError, match="MB"):
        service.segment(png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)))


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
    service = LabelingService(Options(model="deeplabv3_resnet50"))
    answer = service.segment(png(tiny.photo()))
    assert answer.request.is_fallback
    assert answer.request.requested_model == "deeplabv3_resnet50"
    assert list(service.pool.loaded) == [EMBEDDED]
    assert "deeplabv3_resnet50 is not on this machine yet" in notes(answer)[0]
    download = service.downloads.get("deeplabv3_resnet50")
    assert not download.finished.is_set()
    go.set()
    assert download.finished.wait(5)
    assert download_text(download) == "The weights of deeplabv3_resnet50 are here."


def test_without_a_stand_in_the_download_is_awaited_and_reported(no_weights):
    go, _ = no_weights
    service = LabelingService(Options(model="deeplabv3_resnet50"))
    said = []

    def progress(step, fraction):
        said.append((step_text(step), fraction))
        if "MB" in said[-1][0]:
            go.set()

    answer = service.segment(
        png(tiny.photo()), "deeplabv3_resnet50", allow_fallback=False, progress=Progress(progress)
    )
    assert not answer.request.is_fallback
    assert ("Downloading the weights of deeplabv3_resnet50: 5 of 10 MB …", 0.5) in said


def test_a_failed_download_is_told_and_can_be_tried_again(no_weights):
    go, outcome = no_weights
    outcome["error"] = WeightsError("no way out of here")
    go.set()
    service = LabelingService(Options(model="deeplabv3_resnet50"))
    with pytest.raises(WeightsError, match="no way out of here"):
        service.segment(png(tiny.photo()), allow_fallback=False)
    del outcome["error"]
    assert service.segment(png(tiny.photo()), allow_fallback=False).result.model == "colour_net"


def test_with_reports_passes_reports_result_and_errors():
    def work(progress):
        progress("half", 0.5)
        return "done"

    assert list(run_with_progress(work)) == [("half", 0.5), "done"]
    with pytest.raises(ZeroDivisionError):
        list(run_with_progress(lambda progress: 1 / 0))


def test_a_photo_is_opened_by_a_decoder_once(service, tmp_path, monkeypatch):
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

    monkeypatch.setattr("segmentation.images.photo.decoder.apart", False)  # here, to be counted
    monkeypatch.setattr(ImageFile.ImageFile, "__init__", counted)
    monkeypatch.setattr("segmentation.images.source.os.open", counted_open)
    service.segment(str(path), session="ana")
    assert opened == ["PngImageFile"]
    # to be checked and named before it waits, and when its turn has come
    assert len(read) == 2
    assert service.segment(str(path), session="ana").result.model == "colour_net"  # from memory
    assert (len(opened), len(read)) == (1, 3)


def jpeg_of(width: int, height: int, exif_bytes: int = 0) -> bytes:
    """A small JPEG whose header claims another size, behind so many bytes of Exif."""
    file = io.BytesIO()
    Image.fromarray(tiny.photo()).save(file, "JPEG", exif=b"Exif\0\0" + bytes(exif_bytes))
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def test_a_picture_that_is_too_large_is_told_by_its_header_without_waiting(service, tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg_of(30_000, 20_000))
    with service.exclusive(), pytest.raises(ImageError, match=r"30,000 x 20,000 pixels"):
        service.segment(str(path))


def test_a_header_that_is_cut_by_the_first_bytes_refuses_nobody(monkeypatch):
    data = jpeg_of(300, 200, exif_bytes=60_000)
    start = data.index(b"\xff\xc0")
    for end in range(start - 5, start + 25):
        monkeypatch.setattr("segmentation.images.photo.HEAD_BYTES", end)
        check_photo(data)
    large = jpeg_of(30_000, 20_000)
    monkeypatch.setattr("segmentation.images.photo.HEAD_BYTES", large.index(b"\xff\xc0"))
    check_photo(large)  # not known yet
    with pytest.raises(ImageError, match=r"30,000 x 20,000 pixels"):
        open_photo(large)
