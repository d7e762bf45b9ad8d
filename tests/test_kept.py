"""What is remembered of each visitor, and that it never grows."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from page.engine import Engine
from page.kept import CLOSED_SECONDS, KEEP_SECONDS, MAX_RESULTS, MAX_RESULTS_EACH
from page.options import Options
from page.work import Report
from segmentation import ImageError, ModelError
from segmentation.cards import parse_card
from segmentation.postprocess import decide
from segmentation.result import Segmentation


def png(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class CountingSegmenter:
    """Answers with random labels and counts; `predict_many` as on a GPU."""

    def __init__(self, batches: bool = False) -> None:
        self.card = parse_card(json.dumps(tiny.card()))
        self.batches = batches
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails_together = False

    def predict(self, photo, *, size=None) -> Segmentation:
        assert self.gate.wait(20)
        self.groups.append(1)
        return self._result(photo)

    def predict_many(self, photos, *, size=None) -> list[Segmentation]:
        if self.fails_together:
            raise ModelError("not enough memory")
        self.groups.append(len(photos))
        return [self._result(photo) for photo in photos]

    def _result(self, photo) -> Segmentation:
        height, width = photo.image.shape[:2]
        rng = np.random.default_rng(int(photo.image[0, 0].sum()))
        logits = torch.from_numpy(rng.normal(0, 3, (21, 8, 12)).astype(np.float32))
        found = decide(logits, (height, width))
        return Segmentation(*found, logits, tuple(self.card.categories), "fake", "cpu", 0.0)


def engine_with(segmenter: CountingSegmenter) -> Engine:
    engine = Engine(Options(model="embedded", device="cpu"))
    engine.predictors.loaded["embedded"] = segmenter
    return engine


@pytest.fixture
def segmenter():
    return CountingSegmenter()


@pytest.fixture
def engine(segmenter):
    return engine_with(segmenter)


PHOTO = png(tiny.photo())


def test_an_equal_question_of_one_visitor_has_its_answer_from_memory(engine, segmenter, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PHOTO)
    first = engine.segment(str(path), session="ana")
    second = engine.segment(PHOTO, session="ana")  # the same bytes, however they come
    assert second.result is first.result
    assert second.key == first.key
    assert engine.segment(first.photo, session="ana").result is first.result
    assert len(segmenter.groups) == 1
    assert engine.recall(first.key).result is first.result


def test_one_visitors_answer_is_no_other_visitors(engine, segmenter):
    first, other = (engine.segment(PHOTO, session=who) for who in ("ana", "ben"))
    assert first.key != other.key
    assert first.result is not other.result
    assert len(segmenter.groups) == 2
    again = engine.segment(first.photo, session="ben")  # and not by way of the photo either
    assert again.result is not first.result


def test_nobodys_answer_is_not_kept(engine, segmenter):
    keys = [engine.segment(PHOTO).key for _ in range(2)]
    assert len(segmenter.groups) == 2
    assert len(engine.kept) == 0
    assert engine.recall(keys[0]) is None
    assert engine.recall("unknown") is None


def test_an_answer_from_memory_waits_for_nobody(engine, segmenter):
    first = engine.segment(PHOTO, session="ana")
    with engine.alone():
        assert engine.segment(PHOTO, session="ana").result is first.result


def test_two_equal_questions_at_once_are_run_once(engine, segmenter):
    segmenter.gate.clear()
    answers = []

    def ask() -> None:
        answers.append(engine.segment(PHOTO, session="ana"))

    visitors = [threading.Thread(target=ask) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    segmenter.gate.set()
    for visitor in visitors:
        visitor.join(20)
    assert answers[0].result is answers[1].result
    assert len(segmenter.groups) == 1


def test_the_answers_used_least_lately_leave_first(engine):
    engine.kept.most_each = 2
    photos = [png(tiny.photo(64, width)) for width in (90, 96, 102)]
    keys = [engine.segment(photo, session="ana").key for photo in photos[:2]]
    engine.recall(keys[0])
    keys.append(engine.segment(photos[2], session="ana").key)
    assert [engine.recall(key) is None for key in keys] == [False, True, False]


def test_the_last_answer_is_kept_whatever_it_takes(engine):
    engine.kept.most_bytes = 1
    keys = [engine.segment(png(tiny.photo(64, w)), session="ana").key for w in (90, 96)]
    assert engine.recall(keys[0]) is None
    assert engine.recall(keys[1]).key == keys[1]


def test_two_hundred_visitors_leave_no_more_than_is_allowed(engine):
    bytes_each = engine.segment(PHOTO, session="visitor 0").nbytes
    for number in range(200):
        for size in (None, 96, 128):
            engine.segment(PHOTO, size=size, session=f"visitor {number}")
    assert len(engine.kept) == MAX_RESULTS
    engine.kept.most_bytes = 10 * bytes_each
    for number in range(20):
        for size in range(40, 60):
            engine.segment(PHOTO, size=size, session=f"visitor {number}")
            assert engine.kept.nbytes <= 10 * bytes_each
    engine.kept.most_bytes = 1000 * bytes_each
    for size in range(60, 90):
        engine.segment(PHOTO, size=size, session="ana")
    assert sum(one.session == "ana" for one, _ in engine.kept._kept.values()) == MAX_RESULTS_EACH
    assert len(engine.line) == 0
    assert len(engine.line._pace._learnt) <= 256
    assert set(engine.line._order._clocks) == {"embedded"}
    assert engine.line._order._waiting == {}


def test_a_visitor_who_closed_the_page_is_forgotten(engine, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("page.kept.time.monotonic", lambda: now)
    ana, ben = (engine.segment(PHOTO, session=who).key for who in ("ana", "ben"))
    engine.kept.close("ana")
    now += CLOSED_SECONDS + 1
    engine.kept.forget_old()
    assert engine.recall(ana) is None
    assert engine.recall(ben) is not None
    now += KEEP_SECONDS + 1
    engine.kept.forget_old()
    assert len(engine.kept) == 0


# --- photos that wait, and photos that are run together --------------------------------------


def ask_together(engine: Engine, sources: list, segmenter: CountingSegmenter) -> list:
    """Let all wait in the line, then open it; what each got, an answer or an error."""
    outcomes: list = [None] * len(sources)

    def ask(number: int) -> None:
        try:
            outcomes[number] = engine.segment(sources[number], session=f"visitor {number}")
        except Exception as error:
            outcomes[number] = error

    visitors = [threading.Thread(target=ask, args=(n,)) for n in range(len(sources))]
    with engine.alone():
        for number, visitor in enumerate(visitors, 1):
            visitor.start()
            while len(engine.line) < number:
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


def test_photos_are_read_when_their_turn_has_come(engine, segmenter, tmp_path, monkeypatch):
    import segmentation

    real, alive = segmentation.open_photo, []

    def open_photo(*args, **kwargs):
        alive.append(len(engine.line))
        return real(*args, **kwargs)

    monkeypatch.setattr(segmentation, "open_photo", open_photo)
    answers = ask_together(engine, sources(tmp_path, 5), segmenter)
    assert alive == [4, 3, 2, 1, 0]  # how many wait while one is read
    assert [answer.photo.image.shape[0] for answer in answers] == [64, 65, 66, 67, 68]
    assert segmenter.groups == [1] * 5


def test_a_file_that_is_no_picture_is_told_without_waiting(engine):
    with engine.alone(), pytest.raises(ImageError, match="text, not a picture"):
        engine.segment(b"dear diary, this is no picture", session="ana")


def test_a_network_that_takes_several_gets_those_who_wait(tmp_path):
    segmenter = CountingSegmenter(batches=True)
    answers = ask_together(engine_with(segmenter), sources(tmp_path, 11), segmenter)
    assert segmenter.groups == [8, 3]
    assert [answer.photo.image.shape[0] for answer in answers] == list(range(64, 75))
    assert [answer.result.class_map.shape[0] for answer in answers] == list(range(64, 75))
    assert len({answer.key for answer in answers}) == 11


def test_one_bad_photo_or_too_little_memory_spoils_no_group(tmp_path):
    segmenter = CountingSegmenter(batches=True)
    segmenter.fails_together = True
    files = sources(tmp_path, 4)
    Path(files[2]).write_bytes(Path(files[2]).read_bytes()[:-40])
    answers = ask_together(engine_with(segmenter), files, segmenter)
    assert segmenter.groups == [1, 1, 1]
    assert isinstance(answers[2], ImageError)
    assert [answers[n].photo.image.shape[0] for n in (0, 1, 3)] == [64, 65, 67]


def test_nobody_is_left_behind_by_a_visitor_who_leaves(tmp_path):
    segmenter = CountingSegmenter(batches=True)
    engine = engine_with(segmenter)
    gone = threading.Event()
    left: list[Exception] = []

    def leave() -> None:
        try:
            engine.segment(PHOTO, report=Report(stopped=gone.is_set))
        except Exception as error:
            left.append(error)

    leaver = threading.Thread(target=leave)
    with engine.alone():
        leaver.start()
        while len(engine.line) < 1:
            pass
        gone.set()
        leaver.join(20)
        assert len(engine.line) == 0
    assert type(left[0]).__name__ == "StoppedError"
    assert engine.segment(PHOTO).result.model == "fake"
