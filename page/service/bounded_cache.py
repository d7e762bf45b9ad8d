"""A cache for threads, bounded in items, bytes and age: the least recently used leave first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass
class _Entry(Generic[V]):
    value: V
    used_at: float
    nbytes: int
    owner: str


class BoundedCache(Generic[K, V]):
    """A cache of the most recently used values, shared by threads.

    Args:
        max_items: number of values; None for no limit.
        max_bytes: sum of `value.nbytes`; None for no limit. The newest value stays, whatever its
            size.
        ttl: seconds since its last use after which `evict_expired` evicts a value.
        exempt: keys whose values are never evicted and do not count.
        max_items_each: number of values of one owner; None for no limit.

    Attributes:
        max_items, max_bytes, max_items_each: as given; a change applies from the next `put`.
    """

    def __init__(
        self,
        max_items: int | None = None,
        max_bytes: int | None = None,
        ttl: float | None = None,
        exempt: Collection[K] = (),
        max_items_each: int | None = None,
    ) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.max_items_each = max_items_each
        self._ttl = ttl or 0.0
        self._exempt = exempt
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Return whether a value is cached, without counting this as a use."""
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        """Yield the keys, the most recently used last."""
        with self._lock:
            return iter(list(self._entries))

    def values(self) -> list[V]:
        """Return the values, the most recently used last."""
        with self._lock:
            return [entry.value for entry in self._entries.values()]

    @property
    def nbytes(self) -> int:
        """Bytes of all values; 0 where `max_bytes` is None."""
        with self._lock:
            return sum(entry.nbytes for entry in self._entries.values())

    def get(self, key: K, default: Any = None) -> V | Any:
        """Return a cached value and mark it as used, or return `default`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return default
            entry.used_at = time.monotonic()
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: K, value: V, owner: str = "") -> None:
        """Cache a value and evict others beyond the limits.

        Args:
            key: replaces an earlier value of this key.
            value: has `nbytes` where `max_bytes` is set.
            owner: whose `max_items_each` it counts for; "" for no owner.
        """
        nbytes = 0 if self.max_bytes is None else value.nbytes
        with self._lock:
            self._entries[key] = _Entry(value, time.monotonic(), nbytes, owner)
            self._entries.move_to_end(key)
            if owner and self.max_items_each is not None:
                own = [k for k, entry in self._entries.items() if entry.owner == owner]
                for surplus in own[: -self.max_items_each]:
                    del self._entries[surplus]
            counted = {k: e.nbytes for k, e in self._entries.items() if k not in self._exempt}
            for oldest in list(counted)[:-1]:
                too_many = self.max_items is not None and len(counted) > self.max_items
                too_large = self.max_bytes is not None and sum(counted.values()) > self.max_bytes
                if not (too_many or too_large):
                    break
                del self._entries[oldest], counted[oldest]

    def expire(self, owner: str, seconds: float) -> None:
        """Let an owner's values expire in so many seconds, unless they are used again."""
        with self._lock:
            for entry in self._entries.values():
                if entry.owner == owner:
                    entry.used_at = time.monotonic() - self._ttl + seconds

    def evict_expired(self) -> None:
        """Evict the values that were not used for `ttl` seconds."""
        with self._lock:
            limit = time.monotonic() - self._ttl
            for key in [key for key, entry in self._entries.items() if entry.used_at < limit]:
                del self._entries[key]
