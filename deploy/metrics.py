"""The numbers of `/metrics`, which contain nothing about photos or people."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)


class Metrics:
    """Counts photos for Prometheus; implements `remote_pool.PhotoCounter`.

    Attributes:
        replicas: gauge of the serving replicas; the ingress sets it before each response.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._photos = Counter(
            "pixelwise_photos", "Photos that replicas have labelled.", registry=self._registry
        )
        self._failures = Counter(
            "pixelwise_failures", "Photos that could not be labelled.", registry=self._registry
        )
        self._retries = Counter(
            "pixelwise_retries",
            "Photos sent again because a replica was lost.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "pixelwise_photo_seconds",
            "Seconds from sending a photo to its labels, retries included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.replicas = Gauge("pixelwise_replicas", "Replicas that serve.", registry=self._registry)

    def watch(self, queued: Callable[[], int], running: Callable[[], int]) -> None:
        """Add two gauges that are read at each request of `/metrics`."""
        gauges = (
            ("pixelwise_waiting", "Queued photos.", queued),
            ("pixelwise_at_work", "Running photos.", running),
        )
        for name, text, count in gauges:
            Gauge(name, text, registry=self._registry).set_function(count)

    def answered(self, seconds: float) -> None:
        """Count a labelled photo and its seconds."""
        self._photos.inc()
        self._seconds.observe(seconds)

    def failed(self) -> None:
        """Count a photo that could not be labelled."""
        self._failures.inc()

    def retried(self) -> None:
        """Count a photo that is sent again."""
        self._retries.inc()

    def text(self) -> bytes:
        """Return all numbers in Prometheus's text format."""
        return generate_latest(self._registry)
