"""Cameras without a browser: routes, limits, dropped frames, memory."""

import io
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from helpers.inside import running_inside
from helpers.server import start_app
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import EMBEDDED, LIGHTWEIGHT_MODELS
from page.tabs import camera_sessions as live_module
from page.tabs.camera_sessions import (
    LIVE,
    MAX_CAMERAS,
    CameraExpiredError,
    CameraSessions,
    TooManyCamerasError,
    map_size,
)
from segmentation import PixelwiseError, decode_label_map


def jpeg(image: np.ndarray | None = None) -> bytes:
    file = io.BytesIO()
    shown = tiny.photo() if image is None else image
    Image.fromarray(shown).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture
def service(tiny_program):
    return LabelingService(Options(model=str(tiny_program), device="cpu"))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# --- one camera ----------------------------------------------------------------------------


def test_a_frame_becomes_a_label_map(service):
    live = CameraSessions(service, 60)
    facts = live.start("colour_net", jpeg())
    assert (facts["model"], facts["side"], facts["background"]) == ("colour_net", tiny.SIDE, 0)
    assert facts["categories"][tiny.CAT]["name"] == "cat"
    packed, seconds = live.frame(facts["id"], jpeg())
    class_map, confidence, _ = decode_label_map(packed)
    assert class_map.shape == (128, 192)
    assert class_map[20, 10] == tiny.PERSON
    assert class_map[20, 96] == tiny.CAT
    assert class_map[20, 180] == tiny.DOG
    assert class_map[120, 96] == 0
    assert confidence.min() > 0
    assert seconds > 0


def test_a_moved_picture_is_followed_in_the_same_frame(service):
    live = CameraSessions(service, 60)
    ident = live.start("", jpeg())["id"]
    for _ in range(3):
        live.frame(ident, jpeg())
    mirrored = np.ascontiguousarray(tiny.photo()[:, ::-1])
    class_map, _, _ = decode_label_map(live.frame(ident, jpeg(mirrored))[0])
    assert class_map[20, 10] == tiny.DOG
    assert class_map[20, 180] == tiny.PERSON


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (240, 320)), ((100, 50), (100, 50)), ((960, 540), (427, 240))],
)
def test_the_map_is_small(size, expected):
    assert map_size(*size) == expected


def test_time_is_up_and_the_camera_is_forgotten(service):
    clock = Clock()
    live = CameraSessions(service, 10, clock)
    ident = live.start("", jpeg())["id"]
    clock.now += 9
    assert live.frame(ident, jpeg()) is not None
    clock.now += 2
    with pytest.raises(CameraExpiredError, match="a camera is on for 10 s at most"):
        live.frame(ident, jpeg())
    assert len(live) == 0


def test_a_silent_camera_is_forgotten_and_too_many_are_turned_away(service):
    clock = Clock()
    live = CameraSessions(service, 100, clock)
    for _ in range(MAX_CAMERAS):
        live.start("", jpeg())
    with pytest.raises(TooManyCamerasError, match=f"{MAX_CAMERAS} cameras are on already"):
        live.start("", jpeg())
    clock.now += live_module.IDLE_SECONDS + 1
    live.stop(live.start("", jpeg())["id"])
    assert len(live) == 0


def test_a_frame_that_would_wait_is_dropped(service, monkeypatch):
    monkeypatch.setattr(live_module, "PATIENCE_SECONDS", 0.05)
    live = CameraSessions(service, 60)
    ident = live.start("", jpeg())["id"]
    with service.scheduler.slot("a slow photo"):
        assert live.frame(ident, jpeg()) is None
    assert len(service.scheduler) == 0
    assert live.frame(ident, jpeg()) is not None


def test_a_second_frame_of_the_same_camera_is_dropped(service):
    live = CameraSessions(service, 60)
    ident = live.start("", jpeg())["id"]
    answers = []
    with service.scheduler.slot("a photo"):
        thread = threading.Thread(target=lambda: answers.append(live.frame(ident, jpeg())))
        thread.start()
        while not len(service.scheduler):
            time.sleep(0.005)
        assert live.frame(ident, jpeg()) is None
    thread.join(20)
    assert answers[0] is not None


def test_a_photo_is_next_however_many_cameras_wait(service):
    """The line shares its time between models, and all cameras are one of them."""
    order = []
    line = service.scheduler

    def wait(name: str, model: str) -> None:
        with line.slot(model, counts_in_position=model != LIVE):
            order.append(name)

    with line.slot("first"):
        threads = []
        for name, model in [*((f"frame {n}", LIVE) for n in range(4)), ("photo", "net")]:
            threads.append(threading.Thread(target=wait, args=(name, model)))
            threads[-1].start()
            while len(line) < len(threads):
                time.sleep(0.005)
    for thread in threads:
        thread.join(20)
    assert order.index("photo") <= 1


def test_frames_have_no_number_in_the_line_that_people_are_told(service):
    line = service.scheduler
    line.record_duration("net", None, 2.0)
    before = line._durations.mean
    with line.slot(LIVE, counts_in_position=False):
        pass
    assert line._durations.mean == before


# --- which model ---------------------------------------------------------------------------


def tried(live: CameraSessions, monkeypatch, seconds: dict[str, float]) -> None:
    monkeypatch.setattr(live, "_try", lambda name, image: seconds[name])
    monkeypatch.setattr(live, "_candidates", lambda: list(seconds))


LRASPP, MOBILENET = LIGHTWEIGHT_MODELS[1:]


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({EMBEDDED: 0.01, LRASPP: 0.05, MOBILENET: 0.1}, MOBILENET),
        ({EMBEDDED: 0.01, LRASPP: 0.05, MOBILENET: 0.2}, LRASPP),
        ({EMBEDDED: 0.01, LRASPP: 0.5, MOBILENET: 0.9}, EMBEDDED),
        ({EMBEDDED: 0.3, LRASPP: 0.5}, EMBEDDED),
    ],
)
def test_the_best_published_model_that_keeps_up_is_chosen(monkeypatch, seconds, chosen):
    live = CameraSessions(LabelingService(Options(device="cpu")), 60)
    tried(live, monkeypatch, seconds)
    assert live._choose(tiny.photo()) == chosen


def test_the_pages_own_model_is_chosen_where_it_keeps_up(monkeypatch):
    live = CameraSessions(LabelingService(Options(device="cpu", model=LRASPP)), 60)
    tried(live, monkeypatch, {LRASPP: 0.05, MOBILENET: 0.06})
    assert live._choose(tiny.photo()) == LRASPP
    tried(live, monkeypatch, {LRASPP: 0.2, MOBILENET: 0.06})
    assert live._choose(tiny.photo()) == MOBILENET


def test_it_is_said_which_model_answers_and_why(service):
    live = CameraSessions(service, 60)
    first = live.start("", jpeg())["why"]
    assert first.startswith("colour_net answers: ")
    assert "frames a second when tried here" in first
    assert live.start("colour_net", jpeg())["why"].startswith("colour_net answers, as you chose")


def test_a_model_that_must_be_fetched_is_not_waited_for(service, monkeypatch):
    monkeypatch.setattr(service, "is_ready", lambda name: False)
    with pytest.raises(PixelwiseError, match="fcn_resnet50 are not on this machine yet"):
        CameraSessions(service, 60).start("fcn_resnet50", jpeg())


def test_light_networks_stay_loaded_and_large_ones_are_bounded(service, monkeypatch):
    import segmentation

    monkeypatch.setattr(segmentation, "load", lambda name, **options: name)
    for name in (*LIGHTWEIGHT_MODELS, "fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50"):
        service.segmenter(name)
    assert set(service.pool.loaded) == {*LIGHTWEIGHT_MODELS, "fcn_resnet101", "deeplabv3_resnet50"}


# --- by HTTP -------------------------------------------------------------------------------


def start(app, **query) -> dict:
    answer = app.http.post("/live/start", params=query, content=jpeg())
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_camera_by_http(app):
    facts = start(app)
    answer = app.http.post("/live/frame", params={"id": facts["id"]}, content=jpeg())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert float(answer.headers["x-network-ms"]) > 0
    assert decode_label_map(answer.content)[0][20, 10] == tiny.PERSON
    assert app.http.post("/live/stop", params={"id": facts["id"]}).status_code == 204
    answer = app.http.post("/live/frame", params={"id": facts["id"]}, content=jpeg())
    assert answer.status_code == 410
    assert "Stopped by itself" in answer.json()["text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"dear diary", "is text"),
        (jpeg(np.zeros((1500, 1500, 3), np.uint8)), "2.1"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(app, content, message):
    ident = start(app)["id"]
    for path, query in (("start", {}), ("frame", {"id": ident})):
        answer = app.http.post(f"/live/{path}", params=query, content=content)
        assert answer.status_code == 422
        assert message in answer.json()["text"]


def test_other_doors_stay_shut(app):
    assert app.http.get("/live/frame").status_code == 405
    assert app.http.post("/live/other").status_code == 404
    assert app.http.post("/live/frame/x").status_code == 404
    foreign = {"sec-fetch-site": "cross-site"}
    assert app.http.post("/live/start", content=jpeg(), headers=foreign).status_code == 403
    assert app.http.post("/live/start", content=b"x" * (2 << 20)).status_code == 413
    answer = app.http.post("/live/start", params={"model": "../../etc"}, content=jpeg())
    assert (answer.status_code, "no model" in answer.json()["text"]) == (422, True)


def test_a_photo_is_answered_while_cameras_are_on(app):
    """Two cameras send as fast as they are answered, and a visitor's photo is labelled."""
    from helpers.inside import png

    stop, frames = threading.Event(), []

    def film() -> None:
        with httpx.Client(base_url=app.url, timeout=30, trust_env=False) as http:
            ident = http.post("/live/start", content=jpeg()).json()["id"]
            while not stop.is_set() and 410 not in frames[-1:]:
                answer = http.post("/live/frame", params={"id": ident}, content=jpeg())
                frames.append(answer.status_code)

    threads = [threading.Thread(target=film) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(frames) < 10:
        time.sleep(0.01)
    before = len(frames)
    kind, _ = app.segment(png())
    during = len(frames) - before
    stop.set()
    for thread in threads:
        thread.join(30)
    assert kind == "complete"
    assert during > 0
    assert set(frames) <= {200, 204}


def test_a_password_guards_the_cameras(tiny_program, tmp_path):
    with running_inside(tiny_program, tmp_path, auth=("ana", "secret")) as app:
        assert app.http.post("/live/start", content=jpeg()).status_code == 401
        login = app.http.post("/login", data={"username": "ana", "password": "secret"})
        assert login.status_code == 200
        assert app.http.post("/live/start", content=jpeg()).status_code == 200


@pytest.mark.parametrize(
    ("count", "side"), [(100, 480), pytest.param(500, 128, marks=pytest.mark.slow)]
)
def test_frames_leave_no_file_and_no_memory(count, side, tiny_program, tmp_path):
    """In a process of its own; a leak of one decoded frame each would be 92 MB, and 36 MB."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    with (
        start_app("--model", str(tiny_program), folder=tmp_path) as (url, process),
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        frame = jpeg(tiny.photo(side, side * 4 // 3))
        ident = http.post("/live/start", content=frame).json()["id"]

        def film(count: int) -> None:
            for _ in range(count):
                answer = http.post("/live/frame", params={"id": ident}, content=frame)
                assert answer.status_code in (200, 204)

        film(count // 5)
        files, memory = _files(tmp_path), _resident_mb(process.pid)
        film(count)
        assert _files(tmp_path) == files
        assert _resident_mb(process.pid) - memory < 15


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


def _resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 2**10
