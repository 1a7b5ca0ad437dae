"""Figures for Prometheus that are read when they are asked for: the prediction log, readers' agreement, drift."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.reading import Checked
from cnnClassifier.monitoring.writer import LogWriter
from cnnClassifier.web.journal import Journal

PREFIX = "cnnclassifier"
MODEL = ["model", "version"]


class LogFigures(Collector):
    """Figures of a journal; none at all where no log is kept."""

    def __init__(self, journal: Journal, served: Callable[[], Iterable[Classifier]]) -> None:
        self._journal = journal
        self._served = served

    def describe(self) -> Iterable[Metric]:
        """Nothing: so that registering does not read the log."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        if self._journal.writer is None:
            return
        yield from _of_writer(self._journal.writer)
        yield from _of_checks(self._journal.checks())
        if self._journal.feedback:
            yield from self._of_readers()

    def _of_readers(self) -> Iterator[Metric]:
        judged = GaugeMetricFamily(f"{PREFIX}_feedback_judged", "Answers that readers labelled.", labels=MODEL)
        agreed = GaugeMetricFamily(f"{PREFIX}_feedback_agreed", "Those of them that readers agree with.", labels=MODEL)
        for classifier in self._served():
            found = self._journal.agreement(classifier.name, classifier.version)
            if found is not None:
                judged.add_metric([classifier.name, classifier.version], found.judged)
                agreed.add_metric([classifier.name, classifier.version], found.agreed)
        yield from (judged, agreed)


def _of_writer(writer: LogWriter) -> Iterator[Metric]:
    written = CounterMetricFamily(f"{PREFIX}_log_entries", "Answers written into the prediction log.")
    written.add_metric([], writer.written)
    lost = CounterMetricFamily(
        f"{PREFIX}_log_lost",
        "Answers not written: its queue was full, or its file would not have them.",
        labels=["why"],
    )
    for why, count in sorted(writer.lost.items()):
        lost.add_metric([why], count)
    trouble = GaugeMetricFamily(f"{PREFIX}_log_trouble", "1 while the prediction log cannot be written.")
    trouble.add_metric([], float(writer.trouble is not None))
    yield from (written, lost, trouble)


def _of_checks(checks: Iterable[Checked]) -> Iterator[Metric]:
    about = [*MODEL, "of"]
    effect = GaugeMetricFamily(f"{PREFIX}_drift_effect", "How far images in use are from training ones.", labels=about)
    p_value = GaugeMetricFamily(f"{PREFIX}_drift_p_value", "How rare that is by chance, after Holm.", labels=about)
    alarm = GaugeMetricFamily(f"{PREFIX}_drift_alarm", "1 for a comparison that alarms.", labels=about)
    images = GaugeMetricFamily(f"{PREFIX}_drift_images", "Images in the last check.", labels=MODEL)
    at = GaugeMetricFamily(f"{PREFIX}_drift_checked_timestamp_seconds", "When that check was.", labels=MODEL)
    for checked in checks:
        model = [checked.model, checked.version]
        images.add_metric(model, checked.images)
        at.add_metric(model, checked.time)
        for finding in checked.findings:
            effect.add_metric([*model, finding.name], finding.effect)
            p_value.add_metric([*model, finding.name], finding.adjusted)
            alarm.add_metric([*model, finding.name], float(finding.alarm))
    yield from (effect, p_value, alarm, images, at)
