"""Figures for Prometheus: how long each step takes, how full the queue is, what was answered.

Each app has a registry of its own, so that two apps in one process (tests) do not add up.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from cnnClassifier.inference import Classifier, Prediction

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16)
STEPS = ("read", "decode", "wait", "infer", "total")
PREFIX = "cnnclassifier"


class Metrics:
    """All figures of one app. It is also the batcher's `Watch`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            f"{PREFIX}_step_seconds",
            "Seconds a step took. read: taking the file out of the request; decode: to the network's input; wait: for "
            "the network; infer: one pass of the network, for a whole batch; total: a request from headers to answer.",
            ["step"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            f"{PREFIX}_batch_images", "Images in one pass of the network.", buckets=BATCHES, registry=self.registry
        )
        self._predictions = Counter(
            f"{PREFIX}_predictions",
            "Images by model, version, state (answer, abstained, refused) and label (empty without an answer).",
            ["model", "version", "state", "label"],
            registry=self.registry,
        )
        self._responses = Counter(
            f"{PREFIX}_responses", "Answers by route and status.", ["route", "status"], registry=self.registry
        )
        self._model = Gauge(
            f"{PREFIX}_model_info", "1 for a model that is served.", ["name", "version", "digest"],
            registry=self.registry,
        )  # fmt: skip
        for step in STEPS:
            self._seconds.labels(step)  # there from the start, as zero
        ProcessCollector(registry=self.registry)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when the figures are."""
        Gauge(f"{PREFIX}_{name}", about, registry=self.registry).set_function(value)

    def step(self, name: str, seconds: float) -> None:
        """A step of a request took this long."""
        self._seconds.labels(name).observe(seconds)

    def waited(self, seconds: float) -> None:
        """An image waited this long for the network."""
        self.step("wait", seconds)

    def ran(self, images: int, seconds: float) -> None:
        """The network worked this long on so many images."""
        self.step("infer", seconds)
        self._batches.observe(images)

    def predicted(self, prediction: Prediction) -> None:
        """An image was answered."""
        self._predictions.labels(
            prediction.model, prediction.version, prediction.state, prediction.label or ""
        ).inc()  # fmt: skip

    def responded(self, route: str, status: int) -> None:
        """A request was answered."""
        self._responses.labels(route, str(status)).inc()

    def text(self, served: Iterable[Classifier]) -> bytes:
        """Everything in Prometheus' text format; `served` are the models that now answer."""
        self._model.clear()
        for classifier in served:
            self._model.labels(classifier.name, classifier.version, classifier.digest).set(1)
        return generate_latest(self.registry)
