"""A dictionary that never grows beyond its bounds: those used least lately leave first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps the values used last, for threads that share it.

    Args:
        max_items: how many are kept; None for any number.
        max_bytes: how many bytes (`value.nbytes`) are kept; the last value stays whatever it takes.
        ttl: seconds after its last use that a value is kept, where `evict_expired` is called.
        exempt: keys whose values stay, and do not count.

    Attributes:
        max_items, max_bytes: as given; the next `put` keeps to what is set here.
    """

    def __init__(
        self,
        max_items: int | None = None,
        max_bytes: int | None = None,
        ttl: float | None = None,
        exempt: Collection[K] = (),
    ) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self._ttl = ttl
        self._exempt = exempt
        self._values: OrderedDict[K, tuple[V, float]] = OrderedDict()  # with the time of last use
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        """Whether a value is kept; that is no use of it."""
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        """The keys, the one used last at the end."""
        with self._lock:
            return iter(list(self._values))

    def values(self) -> list[V]:
        """The values, the one used last at the end."""
        with self._lock:
            return [value for value, _ in self._values.values()]

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(_size(value) for value in self.values())

    def get(self, key: K, default: Any = None) -> V | Any:
        """The value, while it is kept; it counts as used now."""
        with self._lock:
            if key not in self._values:
                return default
            value, _ = self._values[key]
            self._values[key] = value, time.monotonic()
            self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, and let others go where there are too many."""
        with self._lock:
            self._values[key] = value, time.monotonic()
            self._values.move_to_end(key)
            counted = {k: v for k, (v, _) in self._values.items() if k not in self._exempt}
            total = 0 if self.max_bytes is None else sum(map(_size, counted.values()))
            for old in list(counted)[:-1]:
                crowded = self.max_items is not None and len(counted) > self.max_items
                if not crowded and (self.max_bytes is None or total <= self.max_bytes):
                    break
                del self._values[old]
                gone = counted.pop(old)
                total -= 0 if self.max_bytes is None else _size(gone)

    def discard(self, key: K) -> None:
        """Let a value go, if it is kept."""
        with self._lock:
            self._values.pop(key, None)

    def expire(self, which: Callable[[V], bool], seconds: float) -> None:
        """Keep some values for so many seconds only, unless they are used again."""
        with self._lock:
            for key, (value, _) in self._values.items():
                if which(value):
                    self._values[key] = value, time.monotonic() - (self._ttl or 0.0) + seconds

    def evict_expired(self) -> None:
        """Let the values go that nobody has used for `ttl` seconds."""
        with self._lock:
            limit = time.monotonic() - (self._ttl or 0.0)
            for key in [key for key, (_, used) in self._values.items() if used < limit]:
                del self._values[key]


def _size(value: Any) -> int:
    return value.nbytes
