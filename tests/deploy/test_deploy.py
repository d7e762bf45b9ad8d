"""The deployment's own code, without Ray: messages, retries, the page's service, the ingress."""

import pickle
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import segmentation
from deploy.messages import ErrorMessage, pack, unpack
from deploy.remote_pool import RETRYING_TEXT, RemoteModelPool, UnreachableError, _pauses
from deploy.replica import PhotoRequest, Replica
from deploy.settings import Settings
from helpers import tiny
from page.options import Options
from page.service.background import CancelledError, Progress
from page.service.labeling_service import LabelingService
from page.texts import step_text
from segmentation import ImageError, ModelError, Photo, PixelwiseError


class LostError(Exception):
    """Stands for Ray's errors that mean a machine has gone."""


class Response:
    """An answer on its way, as Ray's is."""

    def __init__(self, future: Future) -> None:
        self.future, self.cancelled = future, False

    def result(self, *, timeout_s=None):
        try:
            return self.future.result(timeout_s)
        except NotYet:
            raise TimeoutError from None

    def cancel(self) -> None:
        self.cancelled = True


class Counter:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failures = self.retries = 0

    def answered(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def failed(self) -> None:
        self.failures += 1

    def retried(self) -> None:
        self.retries += 1


class Handle:
    """Sends questions to a replica in a thread; the first ones meet with `troubles` instead."""

    def __init__(self, replica: Replica, troubles=(), width: int = 2) -> None:
        self.replica = replica
        self.troubles = list(troubles)
        self.sent: list[Response] = []
        self.inside = self.most = 0
        self.gate = threading.Event()
        self.gate.set()
        self._pool = ThreadPoolExecutor(width)
        self._lock = threading.Lock()

    def __call__(self, image, model, size) -> Response:
        if self.troubles:
            future: Future = Future()
            trouble = self.troubles.pop(0)
            if trouble is not None:  # None: never answers
                future.set_exception(trouble)
        else:
            future = self._pool.submit(self._label, PhotoRequest(image, model, size))
        self.sent.append(Response(future))
        return self.sent[-1]

    def _label(self, question):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            assert self.gate.wait(20)
            return pickle.loads(pickle.dumps(self.replica.label([question])[0], protocol=5))
        finally:
            with self._lock:
                self.inside -= 1


@pytest.fixture(scope="module")
def settings(tiny_program):
    return Settings(Options(model=str(tiny_program), device="cpu", time_limit=20.0))


@pytest.fixture(scope="module")
def replica(settings):
    return Replica(settings)


@pytest.fixture
def make(settings, replica):
    """(remote, its handle, its counts) with troubles on the way."""

    def make(*troubles, width=2, **options):
        handle, counts = Handle(replica, troubles, width), Counter()
        chosen = replace(settings.page, **options)
        models = replica.about().models
        remote = RemoteModelPool(
            handle, lambda image: image, (LostError,), models, chosen, width, counts
        )
        return remote, handle, counts

    return make


def equal(one, other) -> bool:
    arrays = ("class_map", "confidence", "runner_up", "logits")
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    plain = ("categories", "model", "device", "precision")
    return same and all(getattr(one, name) == getattr(other, name) for name in plain)


# --- messages -------------------------------------------------------------------------------


def test_an_answer_travels_unchanged_and_in_memory_of_its_own(tiny_program):
    local = segmentation.load(str(tiny_program), device="cpu")
    before = local.predict(tiny.photo())
    buffers: list = []
    data = pickle.dumps(pack(before, local.card), protocol=5, buffer_callback=buffers.append)
    assert len(data) < 5000  # the arrays are not copied into the message
    arrived = pickle.loads(data, buffers=[buffer.raw() for buffer in buffers])
    after = unpack(arrived)
    assert equal(before, after)
    assert after.seconds == before.seconds
    assert not np.shares_memory(after.class_map, arrived.arrays[0])
    assert not after.class_map.flags.writeable


def test_a_replica_answers_each_its_own_whatever_comes_together(settings, replica, tiny_program):
    local = segmentation.load(str(tiny_program), device="cpu")
    photos = [tiny.photo(40 + 8 * n, 60) for n in range(4)]
    sizes = [None, 96, None, 31]  # 31 is out of range
    name = settings.models[0]
    asked = [PhotoRequest(image, name, size) for image, size in zip(photos, sizes, strict=True)]
    answers = replica.label([*asked, PhotoRequest(photos[0], "gone", None)])
    for question, answer in zip(asked[:3], answers[:3], strict=True):
        assert equal(unpack(answer), local.predict(question.image, size=question.size))
    assert isinstance(answers[3], ErrorMessage)
    assert isinstance(answers[3].error, ModelError)
    assert "Model 'gone' is no longer available" in str(answers[4].error)


# --- retries --------------------------------------------------------------------------------


def test_a_machine_that_goes_costs_a_pause_and_no_answer(make, tiny_program):
    remote, handle, counts = make(LostError("gone"), LostError("gone"))
    said: list[str] = []
    progress = Progress(lambda text, fraction: said.append(text))
    result = remote.segmenter(remote.default, progress).predict(Photo(tiny.photo()))
    local = segmentation.load(str(tiny_program), device="cpu")
    assert equal(result, local.predict(tiny.photo()))
    assert said == [RETRYING_TEXT, RETRYING_TEXT]
    assert len(handle.sent) == 3
    assert (counts.retries, counts.failures, len(counts.seconds)) == (2, 0, 1)


def test_what_a_dead_machine_owed_may_come_wrapped(make):
    wrapped = RuntimeError("a task failed")
    wrapped.cause = LostError("gone")
    remote, handle, _ = make(wrapped)
    remote.segmenter(remote.default).predict(Photo(tiny.photo()))
    assert len(handle.sent) == 2


def test_an_error_of_ours_is_not_tried_again(make):
    remote, handle, counts = make(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        remote.segmenter(remote.default).predict(Photo(tiny.photo()))
    with pytest.raises(ModelError):
        remote.segmenter(remote.default).predict(Photo(tiny.photo()), size=31)
    assert len(handle.sent) == 2
    assert (counts.failures, counts.retries, counts.seconds) == (2, 0, [])


def test_tries_end_with_the_time_limit(make):
    remote, handle, counts = make(*[LostError("gone")] * 20, time_limit=0.5)
    start = time.monotonic()
    with pytest.raises(UnreachableError, match=r"within 0\.5 s"):
        remote.segmenter(remote.default).predict(Photo(tiny.photo()))
    assert time.monotonic() - start < 5
    assert 2 <= len(handle.sent) <= 4
    assert counts.failures == 1


def test_a_machine_that_never_answers_is_not_waited_for_without_end(make):
    remote, handle, _ = make(None, time_limit=0.2)
    with pytest.raises(UnreachableError):
        remote.segmenter(remote.default).predict(Photo(tiny.photo()))
    assert handle.sent[0].cancelled


def test_who_leaves_takes_the_question_back(make):
    remote, handle, _ = make(None)
    gone = threading.Event()
    threading.Timer(0.1, gone.set).start()
    progress = Progress(stopped=gone.is_set)
    with pytest.raises(CancelledError):
        remote.segmenter(remote.default, progress).predict(Photo(tiny.photo()))
    assert handle.sent[0].cancelled


def test_pauses_double_up_to_a_limit():
    pauses = _pauses()
    assert [next(pauses) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


# --- the page's service with remote models ---------------------------------------------------


def test_the_engine_answers_as_it_does_locally(make, settings):
    remote, _, _ = make(LostError("gone"))
    said: list[str] = []
    progress = Progress(lambda step, fraction: said.append(step_text(step)))
    photo = Photo(tiny.photo())
    there = LabelingService(settings.page, remote).segment(photo, progress=progress)
    here = LabelingService(settings.page).segment(photo)
    assert equal(there.result, here.result)
    assert there.card == here.card
    assert (there.request.requested_model, there.request.used_model, there.request.is_fallback) == (
        here.request.requested_model,
        here.request.used_model,
        False,
    )
    assert said == ["Reading the photo …", "Labelling every pixel …", RETRYING_TEXT]


def test_a_bad_photo_never_leaves_the_page(make, settings):
    remote, handle, _ = make()
    with pytest.raises(ImageError):
        LabelingService(settings.page, remote).segment(b"no picture")
    assert handle.sent == []


def test_as_many_are_at_work_as_there_is_room_elsewhere(make, settings):
    remote, handle, _ = make(width=3)
    service = LabelingService(settings.page, remote)
    handle.gate.clear()
    photos = [Photo(tiny.photo(64 + n, 64)) for n in range(7)]
    with ThreadPoolExecutor(7) as pool:
        answers = [pool.submit(service.segment, photo) for photo in photos]
        end = time.monotonic() + 20
        while (handle.inside, len(service.scheduler)) != (3, 4):
            assert time.monotonic() < end
            time.sleep(0.01)
        handle.gate.set()
        shapes = [answer.result(20).result.class_map.shape for answer in answers]
    assert shapes == [(64 + n, 64) for n in range(7)]
    assert handle.most == 3


def test_the_classroom_looks_into_a_copy_here_and_stops_nobody(make, settings):
    remote, _, _ = make()
    service = LabelingService(settings.page, remote)
    assert isinstance(service.segmenter(service.default), segmentation.Segmenter)
    with service.exclusive():
        assert service.segment(Photo(tiny.photo())).result.model == "colour_net"
        assert len(service.scheduler) == 0


def test_only_models_that_the_replicas_have_can_be_asked_for(make, settings):
    remote, _, _ = make()
    service = LabelingService(settings.page, remote)
    assert service.model_names() == list(settings.models)
    with pytest.raises(PixelwiseError, match="There is no model 'deeplabv3_resnet50'"):
        service.segment(Photo(tiny.photo()), "deeplabv3_resnet50")


# --- the page in another application ---------------------------------------------------------


def test_an_ingress_builds_one_page(make, settings, monkeypatch, tmp_path):
    pytest.importorskip("prometheus_client", reason="the ingress counts for Prometheus")
    from deploy.ingress import build_ingress
    from deploy.metrics import Metrics
    from page.components.page_blocks import Page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    pages, init = [], Page.__init__
    monkeypatch.setattr(
        Page, "__init__", lambda page, **how: (pages.append(page), init(page, **how))[1]
    )
    remote, _, _ = make()
    _, site = build_ingress(settings, remote, Metrics(), None, None)
    assert pages == [site.demo]


def test_a_mounted_page_keeps_its_guard_and_its_password(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    from page.demo import build_demo
    from page.http.mount import mount

    options = replace(settings.page, auth=("ana", "secret"))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/healthz")(lambda: "ok")
    demo = build_demo(options)
    site = mount(app, demo, options)
    assert site.demo is demo
    with TestClient(app, base_url="http://127.0.0.1") as http:
        assert http.get("/healthz").json() == "ok"
        assert http.get("/").status_code == 200
        assert http.get("/").headers["x-frame-options"] == "DENY"
        for path in ("/docs", "/monitoring", "/openapi.json", "/gradio_api/runs"):
            assert http.get(path).status_code == 404
        for path in ("/config", "/gradio_api/info", f"/gradio_api/file={tmp_path}/x"):
            assert http.get(path).status_code == 401
        wrong = http.post("/login", data={"username": "ana", "password": "guess"})
        assert wrong.status_code == 400
        right = http.post("/login", data={"username": "ana", "password": "secret"})
        assert right.status_code == 200
        assert http.get("/config").status_code == 200


@pytest.mark.ray
def test_health_and_numbers_need_no_password(make, settings, monkeypatch, tmp_path):
    from deploy.ingress import build_ingress
    from deploy.metrics import Metrics

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    remote, _, _ = make()
    metrics, alive = Metrics(), True

    async def ask():
        if not alive:
            raise LostError

    async def count():
        return 2

    chosen = replace(settings, page=replace(settings.page, auth=("ana", "secret")))
    app, _ = build_ingress(chosen, remote, metrics, ask, count)
    metrics.answered(0.3)
    metrics.retried()
    with TestClient(app, base_url="http://127.0.0.1") as http:
        assert (http.get("/healthz").status_code, http.get("/healthz").text) == (200, "ok\n")
        alive = False
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 5)
        assert http.get("/healthz").status_code == 503
        told = http.get("/metrics").text
        assert http.get("/config").status_code == 401
        assert http.post("/metrics").status_code in (404, 405)
    lines = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    assert lines["pixelwise_photos_total"] == "1.0"
    assert lines["pixelwise_retries_total"] == "1.0"
    assert lines["pixelwise_failures_total"] == "0.0"
    assert lines["pixelwise_replicas"] == "2.0"
    assert lines["pixelwise_waiting"] == lines["pixelwise_at_work"] == "0.0"
    assert lines["pixelwise_photo_seconds_sum"] == "0.3"
    assert str(tmp_path) not in told
