"""The winner's parameters become the active ones as a whole, or params.yaml is left as it is."""

from pathlib import Path

import pytest
import yaml

from cnnClassifier.config.loading import load_settings
from cnnClassifier.errors import ConfigError
from cnnClassifier.selection.handover import take_over
from cnnClassifier.selection.plan import comparison_file, load_candidates

PARAMS = Path("params.yaml")


def change(section: str, **values: object) -> None:
    """What somebody does in another window while candidates are compared."""
    content = yaml.safe_load(PARAMS.read_text())
    content[section] |= values
    PARAMS.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("winner", ["as_it_is", "pooled", "smote"])
def test_parameters_changed_meanwhile_are_told_and_stay(project, winner):
    project.write_candidates(
        {
            "as_it_is": {},
            "pooled": {"prepare_base_model.head": {"pooling": "max"}},
            "smote": {"training.balancing": {"method": "smote"}},  # which does not go with soft labels
        }
    )
    best = {each.name: each for each in load_candidates(comparison_file("tiny"), load_settings())}[winner]
    change("training", soft_labels=True)
    meanwhile = PARAMS.read_text()
    with pytest.raises(ConfigError, match=r"params.yaml: was changed while candidates were compared"):
        take_over(best, PARAMS)
    assert PARAMS.read_text() == meanwhile


@pytest.mark.parametrize("broken", ["training: [", "training:\n  epochs: none\n"])
def test_parameters_broken_meanwhile_are_one_line_and_stay(project, broken):
    _, best = load_candidates(comparison_file("tiny"), load_settings())
    PARAMS.write_text(broken)
    with pytest.raises(ConfigError, match=r"^params.yaml: .*$"):
        take_over(best, PARAMS)
    assert PARAMS.read_text() == broken
