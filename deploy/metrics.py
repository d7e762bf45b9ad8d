"""What `/metrics` tells: numbers only, nothing of photos or people."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)


class Metrics:
    """Counts photos for Prometheus; a `remote.Counts`.

    Attributes:
        replicas: networks that serve; set by who knows.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._photos = Counter(
            "pixelwise_photos", "Photos that replicas have labelled.", registry=self._registry
        )
        self._failures = Counter(
            "pixelwise_failures", "Photos that came to an error.", registry=self._registry
        )
        self._retries = Counter(
            "pixelwise_retries",
            "Photos sent again because a machine had gone.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "pixelwise_photo_seconds",
            "From a photo's sending to its labels, tries included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.replicas = Gauge("pixelwise_replicas", "Replicas that serve.", registry=self._registry)

    def watch(self, waiting: Callable[[], int], at_work: Callable[[], int]) -> None:
        """Tell two numbers as they are when somebody asks."""
        told = (
            ("pixelwise_waiting", "Photos that wait for their turn.", waiting),
            ("pixelwise_at_work", "Photos whose turn it is.", at_work),
        )
        for name, text, count in told:
            Gauge(name, text, registry=self._registry).set_function(count)

    def answered(self, seconds: float) -> None:
        """A photo has been labelled."""
        self._photos.inc()
        self._seconds.observe(seconds)

    def failed(self) -> None:
        """A photo has not."""
        self._failures.inc()

    def retried(self) -> None:
        """A photo was sent again."""
        self._retries.inc()

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
