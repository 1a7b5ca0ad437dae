"""One served model: loaded in the background, served only after its self-test, replaced when another is right."""

import atexit
import logging
import queue
import threading
import weakref
from collections.abc import Callable

from cnnClassifier.errors import CnnClassifierError, ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.web.memory import give_memory_back

RETRY_SECONDS = 10.0
REFRESH_SECONDS = 30.0
UNVERIFIED = (
    "not yet compared with the registry, which may have a newer model: "
    "it is being asked, and this notice goes by itself"
)
LOADING = "the model is being loaded; this takes a few seconds"
END_SECONDS = 5.0  # that the end of the process waits for a model that is being loaded

log = logging.getLogger(__name__)


class ModelLoadingError(ModelError):
    """The model is on its way: ask again in a moment."""


class NoModelError(ModelError):
    """There is no model to serve; the message says why. `trainable`: would training one help?"""

    def __init__(self, reason: str, trainable: bool) -> None:
        super().__init__(reason)
        self.trainable = trainable


class ModelHolder:
    """Gives the classifier once it is there; until then it says why not. Making one costs nothing.

    `load` may take seconds (a registry, a large file), so it runs in a thread and the server answers at once.
    It is called again every `retry_seconds` until it succeeds, so that a model trained after the start
    is picked up without a restart. Then `look`, if there is one, is asked every `refresh_seconds` whether another
    model is right. Requests that have the old one finish with it; if `look` fails, the old one stays and `notice`
    says why.
    """

    def __init__(
        self,
        load: Callable[[], Classifier],
        look: Callable[[Classifier], Classifier | None] | None = None,
        refresh_seconds: float = REFRESH_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._load = load
        self._look = look
        self._refresh_seconds = refresh_seconds
        self._retry_seconds = retry_seconds
        self._classifier: Classifier | None = None
        self._trouble: CnnClassifierError | None = None
        self._notice: str | None = None
        self._started = threading.Lock()
        # Unlike an Event or a Queue, it may be put into by a signal handler that interrupts another one.
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow, name="model-loader", daemon=True)

    def start(self) -> None:
        """Start loading, and then looking, in the background; once, however often it is called."""
        if self._started.acquire(blocking=False):
            self._thread.start()
            _holders.add(self)

    def end(self) -> None:
        """Stop, and wait for what the thread is doing, but not for ever."""
        self.stop()
        self._thread.join(END_SECONDS)

    def stop(self) -> None:
        """End the background thread after what it is doing; the model stays."""
        self._calls.put(False)

    def look_now(self) -> None:
        """Have the thread look at once. A signal handler may call it."""
        self._calls.put(True)

    def get(self) -> Classifier:
        """The classifier; ModelLoadingError or NoModelError while there is none."""
        if self._classifier is not None:
            return self._classifier
        if self._trouble is None:
            raise ModelLoadingError(LOADING)
        raise NoModelError(str(self._trouble), trainable=isinstance(self._trouble, ModelError))

    def check_loaded(self) -> None:
        """Raise ModelLoadingError before the first load has ended, whichever way."""
        if self._classifier is None and self._trouble is None:
            raise ModelLoadingError(LOADING)

    @property
    def notice(self) -> str | None:
        """What whoever runs this should know though the model serves; None if all is well."""
        return self._notice

    def load_once(self) -> bool:
        """Try to load and test the model; whether it is there now."""
        try:
            classifier = self._load()
            classifier.self_test()
            classifier = classifier.for_a_crowd()
        except CnnClassifierError as error:
            self._note(error)
        except Exception:
            # The loader thread's outermost frame: without this, a surprise would end the thread silently
            # and leave the server "loading" for ever.
            log.exception("the model could not be loaded")
            self._note(CnnClassifierError("the model could not be loaded; the server's log says why"))
        else:
            self._notice = UNVERIFIED if self._look else None
            self._serve(classifier)
        return self._classifier is not None

    def look_once(self) -> None:
        """Ask whether another model is right, and serve that from now on if so."""
        if self._look is None:
            return
        current = self.get()
        try:
            found = self._look(current)
            other = found and found.for_a_crowd()
        except CnnClassifierError as error:
            self._warn(f"{error}; going on with {current.name} version {current.version}")
        except Exception:
            log.exception("looking for another model failed")
            self._warn("looking for another model failed; the server's log says why")
        else:
            if other is not None:
                self._serve(other)
            elif self._notice not in (None, UNVERIFIED):
                log.info("the registry is followed again")
            self._notice = None

    def _follow(self) -> None:
        while not self.load_once():
            if not self._pause(self._retry_seconds):
                return
        self.look_once()
        while self._look and self._pause(self._refresh_seconds):
            self.look_once()

    def _pause(self, seconds: float) -> bool:
        """Wait for that long or a call; False if it was the call to stop."""
        try:
            return self._calls.get(timeout=seconds)
        except queue.Empty:
            return True

    def _serve(self, classifier: Classifier) -> None:
        self._classifier = classifier
        give_memory_back()
        log.info("serving model %s version %s", classifier.name, classifier.version)

    def _warn(self, notice: str) -> None:
        if notice != self._notice:  # say it once, not at every look
            log.warning("%s", notice)
        self._notice = notice

    def _note(self, trouble: CnnClassifierError) -> None:
        if str(trouble) != str(self._trouble):  # say it once, not at every try
            log.warning("no model to serve: %s", trouble)
        self._trouble = trouble


_holders: weakref.WeakSet[ModelHolder] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """A process that ends while ONNX Runtime opens a model is aborted: its threads have nobody to join them."""
    for holder in list(_holders):
        holder.end()
