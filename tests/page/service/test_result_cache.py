"""What is remembered of each visitor, and that it never grows."""

import io
import json
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny
from page.options import Options
from page.service.background import Progress
from page.service.labeling_service import LabelingService
from page.service.result_cache import CLOSED_SECONDS, KEEP_SECONDS, MAX_RESULTS, MAX_RESULTS_EACH
from segmentation import ImageError
from segmentation.inference.postprocessing import decide
from segmentation.inference.result import Segmentation
from segmentation.models.card import parse_card


def png(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class CountingSegmenter:
    """Answers with random labels and counts."""

    def __init__(self) -> None:
        self.card = parse_card(json.dumps(tiny.card()))
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, photo, *, size=None) -> Segmentation:
        assert self.gate.wait(20)
        self.calls += 1
        return self._result(photo)

    def _result(self, photo) -> Segmentation:
        height, width = photo.image.shape[:2]
        rng = np.random.default_rng(int(photo.image[0, 0].sum()))
        logits = torch.from_numpy(rng.normal(0, 3, (21, 8, 12)).astype(np.float32))
        found = decide(logits, (height, width))
        return Segmentation(*found, logits, tuple(self.card.categories), "fake", "cpu", 0.0)


def engine_with(segmenter: CountingSegmenter) -> LabelingService:
    service = LabelingService(Options(model="embedded", device="cpu"))
    service.pool.loaded.put("embedded", segmenter)
    return service


@pytest.fixture
def segmenter():
    return CountingSegmenter()


@pytest.fixture
def service(segmenter):
    return engine_with(segmenter)


PHOTO = png(tiny.photo())


def test_an_equal_question_of_one_visitor_has_its_answer_from_memory(service, segmenter, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PHOTO)
    first = service.segment(str(path), session="ana")
    second = service.segment(PHOTO, session="ana")  # the same bytes, however they come
    assert second.result is first.result
    assert second.key == first.key
    assert service.segment(first.photo, session="ana").result is first.result
    assert segmenter.calls == 1
    assert service.get_result(first.key).result is first.result


def test_one_visitors_answer_is_no_other_visitors(service, segmenter):
    first, other = (service.segment(PHOTO, session=who) for who in ("ana", "ben"))
    assert first.key != other.key
    assert first.result is not other.result
    assert segmenter.calls == 2
    again = service.segment(first.photo, session="ben")  # and not by way of the photo either
    assert again.result is not first.result


def test_nobodys_answer_is_not_kept(service, segmenter):
    keys = [service.segment(PHOTO).key for _ in range(2)]
    assert segmenter.calls == 2
    assert len(service.results) == 0
    assert service.get_result(keys[0]) is None
    assert service.get_result("unknown") is None


def test_an_answer_from_memory_waits_for_nobody(service, segmenter):
    first = service.segment(PHOTO, session="ana")
    with service.exclusive():
        assert service.segment(PHOTO, session="ana").result is first.result


def test_two_equal_questions_at_once_are_run_once(service, segmenter):
    segmenter.gate.clear()
    answers = []

    def ask() -> None:
        answers.append(service.segment(PHOTO, session="ana"))

    visitors = [threading.Thread(target=ask) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    segmenter.gate.set()
    for visitor in visitors:
        visitor.join(20)
    assert answers[0].result is answers[1].result
    assert segmenter.calls == 1


def test_the_answers_used_least_lately_leave_first(service):
    service.results.max_items_each = 2
    photos = [png(tiny.photo(64, width)) for width in (90, 96, 102)]
    keys = [service.segment(photo, session="ana").key for photo in photos[:2]]
    service.get_result(keys[0])
    keys.append(service.segment(photos[2], session="ana").key)
    assert [service.get_result(key) is None for key in keys] == [False, True, False]


def test_the_last_answer_is_kept_whatever_it_takes(service):
    service.results.max_bytes = 1
    keys = [service.segment(png(tiny.photo(64, w)), session="ana").key for w in (90, 96)]
    assert service.get_result(keys[0]) is None
    assert service.get_result(keys[1]).key == keys[1]


@pytest.mark.slow
def test_two_hundred_visitors_leave_no_more_than_is_allowed(service):
    bytes_each = service.segment(PHOTO, session="visitor 0").nbytes
    for number in range(200):
        for size in (None, 96, 128):
            service.segment(PHOTO, size=size, session=f"visitor {number}")
    assert len(service.results) == MAX_RESULTS
    service.results.max_bytes = 10 * bytes_each
    for number in range(20):
        for size in range(40, 60):
            service.segment(PHOTO, size=size, session=f"visitor {number}")
            assert service.results.nbytes <= 10 * bytes_each
    service.results.max_bytes = 1000 * bytes_each
    for size in range(60, 90):
        service.segment(PHOTO, size=size, session="ana")
    own = [one for one in service.results.values() if one.request.session == "ana"]
    assert len(own) == MAX_RESULTS_EACH
    assert len(service.scheduler) == 0
    assert len(service.scheduler._durations) <= 256
    assert set(service.scheduler._queue._clocks) == {"embedded"}
    assert service.scheduler._queue._waiting == {}


def test_a_visitor_who_closed_the_page_is_forgotten(service, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("page.service.bounded_cache.time.monotonic", lambda: now)
    ana, ben = (service.segment(PHOTO, session=who).key for who in ("ana", "ben"))
    service.results.close("ana")
    now += CLOSED_SECONDS + 1
    service.results.evict_expired()
    assert service.get_result(ana) is None
    assert service.get_result(ben) is not None
    now += KEEP_SECONDS + 1
    service.results.evict_expired()
    assert len(service.results) == 0


# --- photos that wait, and photos that are run together --------------------------------------


def ask_together(service: LabelingService, sources: list, segmenter: CountingSegmenter) -> list:
    """Let all wait in the line, then open it; what each got, an answer or an error."""
    outcomes: list = [None] * len(sources)

    def ask(number: int) -> None:
        try:
            outcomes[number] = service.segment(sources[number], session=f"visitor {number}")
        except Exception as error:
            outcomes[number] = error

    visitors = [threading.Thread(target=ask, args=(n,)) for n in range(len(sources))]
    with service.exclusive():
        for number, visitor in enumerate(visitors, 1):
            visitor.start()
            while len(service.scheduler) < number:
                assert visitor.is_alive()
    for visitor in visitors:
        visitor.join(20)
    return outcomes


def sources(tmp_path, count: int) -> list[str]:
    paths = []
    for number in range(count):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(tiny.photo(64 + number, 90)).save(paths[-1])
    return paths


def test_photos_are_read_when_their_turn_has_come(service, segmenter, tmp_path, monkeypatch):
    import segmentation

    real, alive = segmentation.open_photo, []

    def open_photo(*args, **kwargs):
        alive.append(len(service.scheduler))
        return real(*args, **kwargs)

    monkeypatch.setattr(segmentation, "open_photo", open_photo)
    answers = ask_together(service, sources(tmp_path, 5), segmenter)
    assert alive == [4, 3, 2, 1, 0]  # how many wait while one is read
    assert [answer.photo.image.shape[0] for answer in answers] == [64, 65, 66, 67, 68]
    assert segmenter.calls == 5


def test_a_file_that_is_no_picture_is_told_without_waiting(service):
    with service.exclusive(), pytest.raises(ImageError, match="text, not a picture"):
        service.segment(b"dear diary, this is no picture", session="ana")


def test_nobody_is_left_behind_by_a_visitor_who_leaves(tmp_path):
    segmenter = CountingSegmenter()
    service = engine_with(segmenter)
    gone = threading.Event()
    left: list[Exception] = []

    def leave() -> None:
        try:
            service.segment(PHOTO, progress=Progress(stopped=gone.is_set))
        except Exception as error:
            left.append(error)

    leaver = threading.Thread(target=leave)
    with service.exclusive():
        leaver.start()
        while len(service.scheduler) < 1:
            pass
        gone.set()
        leaver.join(20)
        assert len(service.scheduler) == 0
    assert type(left[0]).__name__ == "CancelledError"
    assert service.segment(PHOTO).result.model == "fake"
