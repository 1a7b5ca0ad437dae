"""What is said of an ensemble: in its ensemble.json and its card, in one line, and in its model.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnClassifier.config.types import Settings
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.ensembles.members import Member
from cnnClassifier.ensembles.rules import Fitted, against_best_member
from cnnClassifier.model_spec import ModelSpec


def about_ensemble(
    members: Sequence[Member], fitted: Fitted | None, obstacle: str, settings: Settings
) -> dict[str, Any]:
    """What ensemble.json and the card say of the members, the rules, and the gain over the best member.

    `obstacle` says why there are no rules, and `fitted` is None then.
    """
    about: dict[str, Any] = {
        "members": [
            {
                "name": member.registered.name,
                "version": member.registered.version,
                "run_id": member.registered.run_id,
                "network": member.spec.backbone,
                "temperature": member.spec.decision.temperature,
            }
            for member in members
        ],
        "rules": _rules(members[0], obstacle),
    }
    if fitted is not None:
        tables = [member.out_of_fold for member in members if member.out_of_fold is not None]
        gain = against_best_member(fitted.table, tables, settings.evaluation)
        about["gain"] = gain | {"member": members[gain["member"]].title}
    return about


def description_of(members: Sequence[Member], settings: Settings, metrics: Mapping[str, Any]) -> str:
    """One line for people."""
    names = ", ".join(member.title for member in members)
    without = "" if "grouped_cv" in metrics else " Answers by the most probable class, without rules."
    return f"{settings.registration.description} Ensemble: mean of the calibrated probabilities of {names}.{without}"


def spec_of(members: Sequence[Member], description: str, decision: DecisionSpec) -> ModelSpec:
    """The package's model.json: classes and preprocessing are the members' own, being all the same."""
    first = members[0].spec
    return ModelSpec(
        classes=first.classes,
        preprocessing=first.preprocessing,
        backbone=f"ensemble of {', '.join(member.spec.backbone for member in members)}",
        weights="its members'",
        freeze="as its members",
        description=description,
        synthetic=any(member.spec.synthetic for member in members),
        decision=decision,
    )


def _rules(first: Member, obstacle: str) -> str:
    if obstacle:
        return (
            f"It has no rules for answers: {obstacle}. The most probable class is the answer; there is no threshold, "
            "no set of possible classes, and no picture is refused."
        )
    said = "Its threshold and its sets of classes were fitted on the mean of its members' out-of-fold predictions."
    if first.spec.decision.outliers is None:
        return f"{said} It refuses no picture: {first.title} has no rule for that."
    return f"{said} It refuses the pictures that {first.title} refuses."
