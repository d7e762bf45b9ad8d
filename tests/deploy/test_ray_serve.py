"""The whole deployment on a real Ray of this machine: two replicas, one dies, one is replaced."""

import io
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

import segmentation
from helpers import tiny
from helpers.client import Client
from helpers.server import descendants, free_port
from segmentation.export.records import result_facts
from segmentation.images.decoding.decoder_process import decoder

pytestmark = pytest.mark.ray

REQUESTS = 100
ATTEMPTS = 8  # to end a replica that has begun a photo
AT_ONCE = 8


def photos(count: int) -> list[bytes]:
    """PNGs that all differ, with the tiny network's colours in them."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        image = tiny.photo(int(rng.integers(90, 160)), int(rng.integers(90, 160)))
        for _ in range(3):
            y, x = rng.integers(0, 80, 2)
            image[y : y + 30, x : x + 30] = np.eye(3, dtype=np.uint8)[rng.integers(3)] * 255
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The tiny network, shown photos so large that a replica always has one in its hands."""
    path = tmp_path_factory.mktemp("program") / "colour_net.pt2"
    return tiny.save_program(path, model_card=tiny.card(resize=1040))


@pytest.fixture(scope="module")
def settings(program):
    from deploy.settings import parse_settings

    words = ["--model", str(program), "--device", "cpu", "--port", str(free_port())]
    words += ["--replicas", "2", "--max-replicas", "2", "--cpus", "0.5", "--page-cpus", "0.5"]
    return parse_settings([*words, "--host", "127.0.0.1"])


@pytest.fixture(scope="module")
def served(settings):
    """The page's address; whatever happens, no Ray is left behind."""
    import ray

    from deploy import ray_serve

    decoder.start()  # this process's own lives as long as it does
    before = set(descendants())
    try:
        yield ray_serve.start(settings, num_cpus=2, object_store_memory=100 * 2**20)
    finally:
        if ray.is_initialized():
            ray_serve.stop()
        end = time.monotonic() + 20
        while (left := set(descendants()) - before) and time.monotonic() < end:
            time.sleep(0.2)
        assert not left


@pytest.fixture
def app(served):
    client = Client(served, timeout=90)
    with client.http:
        yield client


@pytest.fixture(scope="module")
def local(program):
    segmenter = segmentation.load(str(program), device="cpu")
    palette = segmentation.palette_from_card("voc", 21)

    def answer(data: bytes) -> tuple[bytes, dict]:
        result = segmenter.predict(data)
        return segmentation.write_indexed_png(result.class_map, palette), _facts(
            result_facts(result)
        )

    return answer


def _facts(told: dict) -> dict:
    """What two answers to one question have in common: all but their seconds."""
    return {name: value for name, value in told.items() if name not in ("seconds", "notes")}


def ask(app: Client, data: bytes) -> tuple[bytes, dict]:
    """Have a photo labelled as a program would; the label map's file and the facts."""
    kind, told = app.segment(data)
    assert kind == "complete", told
    labels, _, facts = json.loads(told)
    file = app.http.get(f"/gradio_api/file={labels['path']}")
    assert file.status_code == 200
    return file.content, _facts(facts)


def numbers(app: Client) -> dict[str, float]:
    text = app.http.get("/metrics").text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def replicas() -> set[int]:
    """The processes of those that answer; asks until both have."""
    from ray import serve

    from deploy.ray_serve import NETWORKS, SEGMENTER_DEPLOYMENT

    handle = serve.get_deployment_handle(SEGMENTER_DEPLOYMENT, NETWORKS)
    return {handle.about.remote().result(timeout_s=30).pid for _ in range(30)}


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_the_page_its_health_and_its_numbers_are_served(app):
    assert "Pixelwise" in app.http.get("/").text
    assert app.http.get("/").headers["x-frame-options"] == "DENY"
    assert app.http.get("/docs").status_code == 404
    assert (app.http.get("/healthz").status_code, app.http.get("/healthz").text) == (200, "ok\n")
    assert numbers(app)["pixelwise_replicas"] == 2


def test_a_hundred_answers_are_the_local_ones_though_a_replica_dies(app, local):
    files = photos(10)
    expected = [local(data) for data in files]
    wait_until(lambda: len(replicas()) == 2)
    before = numbers(app)
    done, sent = 0, 0

    def one(number: int) -> bool:
        nonlocal done
        same = ask(app, files[number % 10]) == expected[number % 10]
        done += 1
        return same

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ATTEMPTS):
            victim = min(replicas())
            answers = [pool.submit(one, number) for number in range(REQUESTS)]
            sent += REQUESTS
            wait_until(lambda least=sent - REQUESTS * 4 // 5: done >= least)
            os.kill(victim, signal.SIGSTOP)  # so that it dies with photos in its hands
            time.sleep(2.0)
            os.kill(victim, signal.SIGKILL)
            assert [answer.result(90) for answer in answers] == [True] * REQUESTS
            wait_until(lambda gone=victim: len(replicas() - {gone}) == 2)  # Serve started another
            after = numbers(app)
            # Serve itself sends again what the replica had not begun: then no retry is counted
            if after["pixelwise_retries_total"] > before["pixelwise_retries_total"]:
                break
    assert after["pixelwise_photos_total"] - before["pixelwise_photos_total"] == sent
    assert after["pixelwise_failures_total"] == before["pixelwise_failures_total"]
    assert after["pixelwise_retries_total"] > before["pixelwise_retries_total"]


def test_an_update_replaces_the_networks_while_the_page_answers(app, local, settings):
    from deploy import ray_serve

    data = photos(1)[0]
    expected, old = local(data), replicas()
    counted = numbers(app)
    stop, answers = threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(ask(app, data) == expected)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        ray_serve.update_networks(replace(settings, batch=2, batch_wait=0.01))
        wait_until(lambda: len(replicas() - old) == 2)
        stop.set()
        for one in asking:
            one.result(60)
    assert len(answers) > 10
    assert all(answers)
    after = numbers(app)  # the page's own process has gone on counting
    assert after["pixelwise_photos_created"] == counted["pixelwise_photos_created"]
    assert after["pixelwise_failures_total"] == counted["pixelwise_failures_total"]
    assert after["pixelwise_replicas"] == 2


def test_the_end_lets_photos_at_work_end(served, local):
    """Last in this file: afterwards nothing is served."""
    from deploy import ray_serve

    data = photos(1)[0]
    told: list[str] = []

    def keep_asking() -> None:
        app = Client(served, timeout=60)
        with app.http:
            while True:
                path = app.upload(data)
                called = app.call(path)
                if called.status_code == 503:
                    assert "shutting down" in called.text
                    return
                told.append(app.answer(called.json()["event_id"])[0])

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        wait_until(lambda: len(told) > 4)
        ray_serve.stop()
        for one in asking:
            assert one.exception(60) is None or isinstance(one.exception(), httpx.HTTPError)
    # who had been let in and had no turn yet is told; whoever had one got the answer
    assert set(told[:-2]) == {"complete"}
