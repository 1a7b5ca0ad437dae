"""The process's one model: loaded once, in the background, and served only after its self-test."""

import logging
import threading
from collections.abc import Callable

from cnnClassifier.errors import CnnClassifierError, ModelError
from cnnClassifier.inference import Classifier

RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


class ModelLoadingError(ModelError):
    """The model is on its way: ask again in a moment."""


class NoModelError(ModelError):
    """There is no model to serve; the message says why. `trainable`: would training one help?"""

    def __init__(self, reason: str, trainable: bool) -> None:
        super().__init__(reason)
        self.trainable = trainable


class ModelHolder:
    """Gives the classifier once it is there; until then it says why not.

    `load` may take seconds (a registry, a large file), so it runs in a thread and the server answers at once.
    It is called again every `retry_seconds` until it succeeds, so that a model trained after the start
    is picked up without a restart.
    """

    def __init__(self, load: Callable[[], Classifier], retry_seconds: float = RETRY_SECONDS) -> None:
        self._load = load
        self._retry_seconds = retry_seconds
        self._classifier: Classifier | None = None
        self._trouble: CnnClassifierError | None = None

    def start(self) -> None:
        """Start loading in the background."""
        threading.Thread(target=self._load_until_ready, name="model-loader", daemon=True).start()

    def get(self) -> Classifier:
        """The classifier; ModelLoadingError or NoModelError while there is none."""
        if self._classifier is not None:
            return self._classifier
        if self._trouble is None:
            raise ModelLoadingError("the model is being loaded; this takes a few seconds")
        raise NoModelError(str(self._trouble), trainable=isinstance(self._trouble, ModelError))

    def load_once(self) -> bool:
        """Try to load and test the model; whether it is there now."""
        try:
            classifier = self._load()
            classifier.self_test()
        except CnnClassifierError as error:
            self._note(error)
        except Exception:
            # The loader thread's outermost frame: without this, a surprise would end the thread silently
            # and leave the server "loading" for ever.
            log.exception("the model could not be loaded")
            self._note(CnnClassifierError("the model could not be loaded; the server's log says why"))
        else:
            self._classifier = classifier
            log.info("serving model %s version %s", classifier.name, classifier.version)
        return self._classifier is not None

    def _load_until_ready(self) -> None:
        pause = threading.Event()
        while not self.load_once():
            pause.wait(self._retry_seconds)

    def _note(self, trouble: CnnClassifierError) -> None:
        if str(trouble) != str(self._trouble):  # say it once, not at every try
            log.warning("no model to serve: %s", trouble)
        self._trouble = trouble
