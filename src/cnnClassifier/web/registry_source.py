"""The registry's champion, followed while it changes: asked cheaply, fetched only when needed, remembered for a start
without the registry.

mlflow never gets into the serving process: `tracking.peek` asks without it, `tracking.fetch` starts a process for it.
A command, which asks once and ends, is `for_once`: where only mlflow can ask, it does so before it answers.
"""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from cnnClassifier.config.loading import PARAMS_FILE, load_settings
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, digest_package
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.fetch import Order, fetch
from cnnClassifier.tracking.peek import PeekError, at_hand, peek
from cnnClassifier.tracking.registry import ServedPackage

FIRST_VERSION = "1"  # what a released model becomes in the empty registry that it is imported into

log = logging.getLogger(__name__)


class RegistrySource:
    """What has the alias: the model of that name or, without a name, of the active experiment.

    If nothing has it, and no other name was asked for, the released model; a local registry that is empty gets it.
    One source follows one model; making one costs nothing and asks nobody. A server starts with what it served last
    where only mlflow can ask the registry, as a PostgreSQL database; `look` asks later. `for_once` there is no later.
    """

    def __init__(self, project: ProjectConfig, name: str | None = None, *, for_once: bool = False) -> None:
        self._project = project
        self._for_once = for_once
        self._released = _released(project, name)
        self._name = name
        self._names: tuple[str, ...] = ()
        self._may_import = self._released is not None
        self._unfit: tuple[Path, str] | None = None

    def load(self) -> Classifier:
        """The model to start with. Asks the registry for the alias and no more, if the package is at hand.

        Where the registry does not answer, or only to mlflow, it is what was served last, if that is still there.
        """
        server = self._connect()
        if self._released and server.is_unused:
            # MLflow's database and the import into it take many seconds: `look` sees to them.
            return Classifier.load(self._released, self._released.name, FIRST_VERSION)
        try:
            package = self._ask(server) if self._for_once else self._peek(server)
        except TrackingError as error:
            if (kept := self._remembered(server)) is not None:
                log.warning("serving %s version %s as before: %s", kept.name, kept.version, error)
                return kept
            if not isinstance(error, PeekError):
                raise
            package = self._fetch()
        if package is not None:
            return self._keep(server, _load(package))
        if self._released is None:
            raise self._nothing(server)
        log.info("%s: no model %s; serving %s", server.title, " or ".join(self._names), self._released)
        return Classifier.load(self._released, self._released.name)

    def look(self, current: Classifier) -> Classifier | None:
        """The tested champion, if it is another model than `current`; None if it is not.

        TrackingError if the registry does not tell; ModelError if there is no champion any more, or if it is unfit.
        """
        server = self._connect()
        package = self._ask(server)
        if package is None and self._may_import:
            self._may_import = False  # tried once a process: another model may be registered meanwhile
            package = self._fetch()
        if package is None:
            if current.folder != self._released:
                raise self._nothing(server)
            return None
        if package.folder == current.folder:
            return None
        if digest_package(package.folder) == current.digest:  # the release, now registered: the same under another name
            other = replace(current, folder=package.folder, name=package.name, version=package.version)
        else:
            other = self._tested(package)
        return self._keep(server, other)

    def _connect(self) -> Connection:
        if not self._names:
            names = [_active_name(self._name, self._released), *([self._released.name] if self._released else [])]
            self._names = tuple(dict.fromkeys(names))
        return connect(self._project.tracking)

    def _ask(self, server: Connection) -> ServedPackage | None:
        """As `_peek`, and by mlflow where only that can."""
        try:
            return self._peek(server)
        except PeekError:
            return self._fetch()

    def _peek(self, server: Connection) -> ServedPackage | None:
        """The package behind the alias, fetched if it is not at hand; None if nothing has the alias."""
        for name in self._names:
            if found := peek(server, name, self._project.serving.alias):
                folder = at_hand(server, found, self._folder)
                return ServedPackage(folder, str(found.version), name) if folder else self._fetch()
        return None

    def _fetch(self) -> ServedPackage | None:
        paths, serving = self._project.paths, self._project.serving
        order = Order(self._project.tracking, self._names, serving.alias, self._folder, paths.cache, self._released)
        return fetch(order)

    def _tested(self, package: ServedPackage) -> Classifier:
        """Loaded and tested; an unfit version is said to be so again without loading it again."""
        if self._unfit and self._unfit[0] == package.folder:
            raise ModelError(self._unfit[1])
        try:
            classifier = _load(package)
            classifier.self_test()
        except ModelError as error:
            self._unfit = (package.folder, f"{package.name} version {package.version} is unfit to serve: {error}")
            raise ModelError(self._unfit[1]) from None
        return classifier

    def _keep(self, server: Connection, classifier: Classifier) -> Classifier:
        """Remember what is served, for a start without the registry."""
        facts = {"folder": str(classifier.folder), "name": classifier.name, "version": classifier.version}
        try:
            write_json(facts, self._memory(server))
        except OSError as error:  # a read-only disk: it is only needed when the registry is down
            log.info("%s: not written: %s", self._memory(server), error)
        return classifier

    def _remembered(self, server: Connection) -> Classifier | None:
        file = self._memory(server)
        try:
            facts = read_json(file) if file.is_file() else {}
            return _load(ServedPackage(Path(facts["folder"]), facts["version"], facts["name"])) if facts else None
        except (OSError, ValueError, KeyError, ModelError) as error:
            log.warning("%s: what was served last cannot be served again: %s", file, error)
            return None

    def _memory(self, server: Connection) -> Path:
        """One file for each registry and model asked for; an address may hold a password, so only its digest."""
        asked = "\n".join([server.uri, self._project.serving.alias, *self._names])
        return self._folder / f"last-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.json"

    @property
    def _folder(self) -> Path:
        return self._project.paths.cache / "served"

    def _nothing(self, server: Connection) -> ModelError:
        asked = " or ".join(f"{name}@{self._project.serving.alias}" for name in self._names)
        return ModelError(f"{server.title}: no model {asked}; run the pipeline to register one")


def _load(package: ServedPackage) -> Classifier:
    return Classifier.load(package.folder, package.name, package.version)


def _active_name(name: str | None, released: Path | None = None) -> str:
    """The name asked for, else the active experiment's; a serving image has no experiment, only the release."""
    if name or released is None or PARAMS_FILE.is_file():
        return name or load_settings().registration.name
    return released.name


def _released(project: ProjectConfig, name: str | None) -> Path | None:
    """The released model's folder, if it is there and no other model was asked for."""
    folder = project.serving.released
    if folder is None or not (folder / ONNX_FILE).is_file() or name not in (None, "", folder.name):
        return None
    return folder
