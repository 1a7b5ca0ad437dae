"""`python main.py ensemble` from its members' names to a version in the registry."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cnnClassifier.config.loading import validate
from cnnClassifier.config.types import Paths, RegistrationConfig, Settings
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.ensembles import ENSEMBLE_FILE
from cnnClassifier.ensembles.describing import about_ensemble, description_of, spec_of
from cnnClassifier.ensembles.members import (
    Member,
    check_alike,
    check_versions,
    fetch_member,
    find_member,
    why_incomparable,
)
from cnnClassifier.ensembles.merging import check_equal, merge
from cnnClassifier.ensembles.rules import Fitted, fit_rules, mean_of
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.gate import Decision, Rival, compare_with_champion, decide_promotion, with_way_round
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import read_predictions, write_again
from cnnClassifier.model_card.card import Registered, write_card
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, ModelSpec, write_spec
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.ensembles import MEMBERS_TAG, ensemble_run, members_line
from cnnClassifier.tracking.identity import run_tags
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import PipelineRun
from cnnClassifier.tracking.stages import Artifact
from cnnClassifier.tracking.values import numbers

METRIC = "grouped_cv.balanced_accuracy"

log = logging.getLogger(__name__)


def make_ensemble(name: str, asked: Sequence[str], settings: Settings, paths: Paths, connection: Connection) -> str:
    """Register the mean of the members' calibrated probabilities as a version of `name`; a line that says what it is.

    Rules are fitted by the active `evaluation` settings. Members that do not fit together are a ModelError.
    """
    bars = _bars(name, settings)
    found = [find_member(connection, each) for each in asked]
    check_versions(found)
    paths.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="ensemble-", dir=paths.work) as scratch:
        work = Path(scratch)
        table = f"training/{paths.out_of_fold.name}"
        members = [fetch_member(connection, each, paths.cache / "served", table, work / "members") for each in found]
        check_alike(members)
        _check_experiment(members, settings)
        obstacle = why_incomparable(members)
        fitted = None if obstacle else _fit(members, settings)
        metrics = (fitted.metrics if fitted else {}) | {"ensemble": about_ensemble(members, fitted, obstacle, settings)}
        bars = bars.model_copy(update={"description": description_of(members, settings, metrics)})
        spec = spec_of(members, bars.description, fitted.decision if fitted else DecisionSpec())
        package = work / "package"
        _write_package(package, members, spec, metrics["ensemble"])
        with ensemble_run(connection, name, found, paths.cache) as run:
            audit = _audit(run, found[0].run_id, paths, work)
            registered = Registered(_today(), run.run_id, run_tags().get("mlflow.source.git.commit"))
            write_card(package, bars, spec, audit, metrics, registered)
            _log_results(run, work, package, fitted, metrics, audit, paths)
            version = _register(run, package, spec, bars, metrics, members, work)
            decision = _decide(run, fitted, obstacle, audit, bars, paths, work)
            _carry_out(run, version, decision, bars)
            decided = replace(registered, version=version, champion=decision.promote, reason=decision.reason)
            card = work / "card"
            card.mkdir()
            write_card(card, bars, spec, audit, metrics, decided)
            run.log_results([Artifact(file, "registration/model_card") for file in sorted(card.iterdir())], {}, {})
    place = "champion" if decision.promote else "challenger"
    reason = with_way_round(decision.reason, decision.promote, version, name)
    return f"{name} version {version}, {place}: {reason}\n{bars.description}"


def _bars(name: str, settings: Settings) -> RegistrationConfig:
    """The active experiment's bars under the ensemble's name; its metric must be one that is known of an ensemble.

    ConfigError for a name that no model may have.
    """
    changes: dict[str, Any] = {"name": name}
    if not settings.registration.metric.startswith("grouped_cv."):
        changes["metric"] = METRIC
    return validate(settings.registration.model_dump() | changes, RegistrationConfig, Path("ensemble"))


def _check_experiment(members: Sequence[Member], settings: Settings) -> None:
    known = set(settings.data_ingestion.classes)
    if known != set(members[0].spec.classes):
        raise ConfigError(
            f"params.yaml: its classes are {', '.join(sorted(known))}, and {members[0].title} tells apart "
            f"{', '.join(members[0].spec.classes)}; make the members' experiment the active one first"
        )


def _fit(members: Sequence[Member], settings: Settings) -> Fitted:
    tables = [member.out_of_fold for member in members if member.out_of_fold is not None]
    table = mean_of(tables, [member.spec.decision.temperature for member in members])
    return fit_rules(table, settings.evaluation, members[0].spec.decision.outliers)


def _write_package(folder: Path, members: Sequence[Member], spec: ModelSpec, about: dict[str, Any]) -> None:
    folder.mkdir()
    has_gate = spec.decision.outliers is not None
    temperatures = [member.spec.decision.temperature for member in members]
    merge([member.package for member in members], temperatures, folder / ONNX_FILE, features=has_gate)
    write_spec(spec, folder)
    write_json(about, folder / ENSEMBLE_FILE)
    if has_gate:
        shutil.copyfile(members[0].package / OUTLIERS_FILE, folder / OUTLIERS_FILE)
    loaded = [Classifier.load(each.package, each.registered.name, str(each.registered.version)) for each in members]
    difference = check_equal(loaded, Classifier.load(folder, folder.name, "unregistered"))
    log.info("the merged network differs from the mean of its %d members by at most %.1g", len(members), difference)


def _audit(run: PipelineRun, member_run: str, paths: Paths, work: Path) -> dict[str, Any]:
    """What the first member's run says of the images it learned from; nothing if it keeps no audit."""
    folder = work / "audit"
    folder.mkdir()
    file = registry.fetch_file(run.connection, member_run, f"data_audit/{paths.audit.name}", folder)
    found: dict[str, Any] = read_json(file) if file else {}
    return found


def _register(
    run: PipelineRun,
    package: Path,
    spec: ModelSpec,
    bars: RegistrationConfig,
    metrics: dict[str, Any],
    members: Sequence[Member],
    work: Path,
) -> int:
    save_pyfunc(package, None, work / "pyfunc", spec)
    tags = {MEMBERS_TAG: members_line([member.registered for member in members])}
    tags["synthetic"] = str(spec.synthetic).lower()
    if (score := _score(metrics, bars)) is not None:
        tags[bars.metric] = f"{score:.6f}"
    if test_data := members[0].registered.tags.get(registry.TEST_DATA_TAG):
        tags[registry.TEST_DATA_TAG] = test_data
    return registry.register(run, work / "pyfunc", bars.name, bars.description, tags)


def _score(metrics: dict[str, Any], bars: RegistrationConfig) -> float | None:
    protocol, _, name = bars.metric.partition(".")
    value = metrics.get(protocol, {}).get(name, {}).get("value")
    return None if value is None else float(value)


def _decide(
    run: PipelineRun,
    fitted: Fitted | None,
    obstacle: str,
    audit: dict[str, Any],
    bars: RegistrationConfig,
    paths: Paths,
    work: Path,
) -> Decision:
    """The gate's decision, as for any other version of that name."""
    score = None if fitted is None else _score(fitted.metrics, bars)
    if fitted is None or score is None:
        why = obstacle or f"its {bars.metric} cannot be said"
        return Decision(False, f"nothing says how good it is: {why}", {})
    champion = registry.find(run.connection, bars.name, registry.CHAMPION)
    rival = None if champion is None else _meet(run, champion, fitted, bars, paths, work)
    return decide_promotion(score, rival, fitted.metrics, audit, bars)


def _meet(
    run: PipelineRun,
    champion: registry.RegisteredModel,
    fitted: Fitted,
    bars: RegistrationConfig,
    paths: Paths,
    work: Path,
) -> Rival:
    folder, artifact = work / "champion", f"training/{paths.out_of_fold.name}"
    folder.mkdir()
    theirs = registry.fetch_file(run.connection, champion.run_id, artifact, folder)
    if theirs is None:
        return Rival(champion.version, None, f"its run keeps no {artifact}")
    try:
        return compare_with_champion(champion.version, fitted.table, read_predictions(theirs), bars)
    except DataError as error:
        return Rival(champion.version, None, str(error))


def _carry_out(run: PipelineRun, version: int, decision: Decision, bars: RegistrationConfig) -> None:
    tags = {"gate": "passed" if decision.promote else "failed", "gate.reason": decision.reason}
    registry.record_decision(run, bars.name, version, tags, decision.numbers)
    if decision.promote:
        registry.set_alias(run.connection, bars.name, version, registry.CHAMPION)


def _log_results(
    run: PipelineRun,
    work: Path,
    package: Path,
    fitted: Fitted | None,
    metrics: dict[str, Any],
    audit: dict[str, Any],
    paths: Paths,
) -> None:
    """Keep in the run what a pipeline's run keeps, under the same names: later gates and ensembles look there.

    Before anything is registered: a champion whose run lacks its predictions could not be compared with.
    """
    files = [Artifact(package / ENSEMBLE_FILE, "registration")]
    write_json(metrics, work / paths.metrics.name)
    files.append(Artifact(work / paths.metrics.name, "evaluation"))
    if audit:
        write_json(audit, work / paths.audit.name)
        files.append(Artifact(work / paths.audit.name, "data_audit"))
    if fitted is not None:
        write_again(fitted.table, work / paths.out_of_fold.name)
        files.append(Artifact(work / paths.out_of_fold.name, "training"))
    run.log_results(files, numbers(metrics), {})


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
