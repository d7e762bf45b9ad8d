"""A cache keeps to its bounds: items, bytes, time; those used least lately leave first."""

import threading

import numpy as np
import pytest

from page.service.bounded_cache import BoundedCache


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = [1000.0]
    monkeypatch.setattr("page.service.bounded_cache.time.monotonic", lambda: now[0])
    return now


def test_the_one_used_least_lately_leaves_first():
    cache = BoundedCache(max_items=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert list(cache) == ["a", "c"]
    assert (cache.get("b"), cache.get("b", 7)) == (None, 7)
    assert "a" in cache  # asking so is no use of it
    cache.put("d", 4)
    assert cache.values() == [3, 4]


def test_bytes_are_bounded_and_the_last_one_stays_whatever_it_takes():
    cache = BoundedCache(max_bytes=250)
    for name in "abc":
        cache.put(name, np.zeros(100, np.uint8))
    assert (list(cache), cache.nbytes) == (["b", "c"], 200)
    cache.put("large", np.zeros(1000, np.uint8))
    assert (list(cache), cache.nbytes) == (["large"], 1000)
    cache.put("large", np.zeros(50, np.uint8))  # in its own place
    cache.put("d", np.zeros(200, np.uint8))
    assert (list(cache), cache.nbytes) == (["large", "d"], 250)


def test_values_that_nobody_uses_expire(clock):
    cache = BoundedCache(ttl=60.0)
    cache.put("a", 1)
    cache.put("b", 2, owner="ben")
    clock[0] += 59
    assert cache.get("b") == 2
    clock[0] += 2
    cache.evict_expired()
    assert list(cache) == ["b"]
    cache.expire("ben", 5.0)
    clock[0] += 6
    cache.evict_expired()
    assert len(cache) == 0


def test_exempt_keys_stay_and_do_not_count():
    cache = BoundedCache(max_items=1, exempt=("small",))
    for name in ("small", "large", "larger"):
        cache.put(name, name)
    assert list(cache) == ["small", "larger"]


def test_an_owner_has_so_many_and_nobody_elses_leave():
    cache = BoundedCache(max_items=4, max_items_each=2)
    for name, owner in zip("abcdef", ["ana", "ben", "ana", "ana", "", ""], strict=True):
        cache.put(name, name, owner)
    assert list(cache) == ["c", "d", "e", "f"]


def test_threads_share_it_within_its_bounds():
    cache = BoundedCache(max_items=16)

    def fill(start: int) -> None:
        for number in range(500):
            cache.put((start, number % 40), number)
            cache.get((start, number % 7))

    threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == len(cache.values()) == 16
