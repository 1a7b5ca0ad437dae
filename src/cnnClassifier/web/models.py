"""The models that may be asked: the one the server was started for, and every other that the registry offers."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from flask import url_for

from cnnClassifier.errors import NoSuchModelError, TrackingError
from cnnClassifier.inference import Classifier
from cnnClassifier.tracking.catalogue import Version
from cnnClassifier.web.answers import ModelAnswer, VersionAnswer
from cnnClassifier.web.model_holder import ModelHolder, ModelLoadingError, NoModelError

KEPT_SECONDS = 10.0  # what the registry said of its models is believed that long

log = logging.getLogger(__name__)


class Registry:
    """What the registry says for people to choose from; its list is asked for at most every KEPT_SECONDS.

    It is not needed to serve what is loaded.
    """

    def __init__(
        self,
        names: Callable[[], list[str]],
        offers: Callable[[str], bool],
        versions: Callable[[str], list[Version]],
        holder: Callable[[str], ModelHolder],
    ) -> None:
        self.holder = holder
        self._ask_names = names
        self._ask_one = offers
        self._ask_versions = versions
        self._names: list[str] = []
        self._trouble: TrackingError | None = None
        self._asked = -KEPT_SECONDS

    def names(self) -> list[str]:
        """The models that have the served alias; those of the last time if the registry does not answer."""
        if time.monotonic() - self._asked >= KEPT_SECONDS:
            self._asked = time.monotonic()
            try:
                self._names, self._trouble = self._ask_names(), None
            except TrackingError as error:
                self._trouble = error
                log.warning("the registry's models are not known: %s", error)
        return self._names

    @property
    def trouble(self) -> TrackingError | None:
        """Why the registry did not list its models when it was asked last; None if it did."""
        return self._trouble

    def offers(self, name: str) -> bool:
        """Whether a model has the served alias, listed or not: a list may be long and end before it.

        TrackingError if the registry does not tell: that is no "no".
        """
        return name in self.names() or self._ask_one(name)

    def versions(self, name: str) -> list[Version]:
        """A model's versions, newest first; none if the registry does not answer."""
        try:
            return self._ask_versions(name)
        except TrackingError as error:
            log.warning("the versions of %s are not known: %s", name, error)
            return []


class Models:
    """Classifiers by name: the default one is loaded at the start, the others when first asked for."""

    def __init__(self, default: ModelHolder, registry: Registry | None = None) -> None:
        self.default = default
        self._registry = registry
        self._others: dict[str, ModelHolder] = {}
        self._lock = threading.Lock()

    def get(self, name: str | None = None) -> Classifier:
        """The classifier of that name, or the default one; errors of `_offered`, or what its holder raises.

        Before the default has been loaded nobody knows its name: it might be the one asked for.
        """
        if name is None:
            return self.default.get()
        self.default.check_loaded()
        return (self._known(name) or self._offered(name)).get()

    def at_hand(self, name: str | None = None) -> Classifier:
        """The same if it has been asked for before: NoSuchModelError for others, whatever the registry offers."""
        self.default.check_loaded()
        holder = self.default if name is None else self._known(name)
        if holder is None:
            raise NoSuchModelError(f"no model {name!r} is loaded; GET /api/v1/models/{name} loads it if there is one")
        return holder.get()

    def loaded(self) -> list[Classifier]:
        """Those that answer now."""
        holders = [self.default, *self._others.values()]
        return [classifier for holder in holders if (classifier := _if_there(holder))]

    def answers(self) -> list[ModelAnswer]:
        """All that may be asked, the default first; in a request, whose addresses they have.

        TrackingError if none is known only because the registry does not tell.
        """
        default = self._default_name()
        names = [*([default] if default else []), *(self._registry.names() if self._registry else [])]
        if not names and self._registry and self._registry.trouble:
            raise TrackingError(str(self._registry.trouble))
        return [self._describe(name) for name in dict.fromkeys(names)]

    def answer(self, name: str) -> ModelAnswer:
        """One model with its versions; errors of `get`."""
        classifier = self.get(name)
        found = self._registry.versions(name) if self._registry else []
        versions = [VersionAnswer.model_validate(asdict(each)) for each in found]
        return _described(classifier).model_copy(update={"versions": versions})

    def _describe(self, name: str) -> ModelAnswer:
        """A model that need not be loaded for it."""
        holder = self._known(name)
        classifier = _if_there(holder) if holder else None
        return _described(classifier) if classifier else ModelAnswer(name=name, served=None)

    def _known(self, name: str) -> ModelHolder | None:
        return self.default if name == self._default_name() else self._others.get(name)

    def _offered(self, name: str) -> ModelHolder:
        """The holder of a model of the registry; NoSuchModelError, or TrackingError if the registry does not tell."""
        if self._registry is None:
            self.default.get()  # if there is none, that is why
        if self._registry is None or not self._registry.offers(name):
            raise NoSuchModelError(f"there is no model {name!r}; GET /api/v1/models lists them")
        with self._lock:  # another request may have asked meanwhile
            holder = self._others.setdefault(name, self._registry.holder(name))
        holder.start()
        return holder

    def _default_name(self) -> str | None:
        classifier = _if_there(self.default)
        return classifier.name if classifier else None


def _if_there(holder: ModelHolder) -> Classifier | None:
    try:
        return holder.get()
    except (ModelLoadingError, NoModelError):
        return None


def _described(classifier: Classifier) -> ModelAnswer:
    spec = classifier.spec
    return ModelAnswer(
        name=classifier.name,
        served=classifier.version,
        classes=spec.classes,
        description=spec.description,
        backbone=spec.backbone,
        synthetic=spec.synthetic,
        explains=classifier.has_maps,
        decision=spec.decision,
        preprocessing=spec.preprocessing,
        card=url_for("model_card", model=classifier.name) if classifier.card.is_file() else None,
    )
