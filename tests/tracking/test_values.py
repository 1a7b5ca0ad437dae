import math
import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier.tracking.values import (
    VALUE_LENGTH,
    digest_of,
    legal_name,
    numbers,
    parameters,
    same_value,
    shortened,
)


def test_parameters_have_dotted_names_and_texts_for_values():
    tree = {"training": {"epochs": 3, "augmentation": {"flip": True}}, "data": {"groups": None, "parts": [1, 2]}}
    assert parameters(tree) == {
        "training.epochs": "3",
        "training.augmentation.flip": "true",
        "data.groups": "null",
        "data.parts": "[1, 2]",
    }


def test_an_empty_section_is_still_a_parameter():
    assert parameters({"data": {"classes": {}}}) == {"data.classes": "{}"}


def test_results_become_metrics_without_the_word_value():
    results = {"published": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1}}, "passed": True, "note": "x", "m": [1]}
    assert numbers(results) == {
        "published.accuracy": 0.9,
        "published.accuracy.low": 0.8,
        "published.accuracy.high": 1.0,
    }


def test_a_prefix_tells_the_stage():
    assert numbers({"copies": 2}, "audit.") == {"audit.copies": 2.0}


@given(st.text(max_size=400))
def test_any_name_becomes_legal(name):
    assert re.fullmatch(r"[A-Za-z0-9_\-. :/]{0,250}", legal_name(name))


def test_classes_of_any_script_keep_a_metric_each():
    recalls = {"良性": 0.95, "恶性": 0.4, "grade 1 (low)": 0.5, "grade 1 [low]": 0.6, "normal": 1.0}
    results = {"per_class": {label: {"recall": recall} for label, recall in recalls.items()}}
    found = numbers(results)
    assert sorted(found.values()) == sorted(recalls.values())
    assert found["per_class.normal.recall"] == 1.0
    assert len({legal_name("x" * 300 + end) for end in "abc"}) == 3


@given(st.text(max_size=600))
def test_any_value_fits_an_old_server(value):
    assert len(shortened(value)) <= VALUE_LENGTH


def test_long_values_that_differ_at_the_end_stay_different():
    assert shortened("x" * 400 + "a") != shortened("x" * 400 + "b")


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})


def test_rounding_in_a_file_does_not_make_a_value_new():
    assert same_value(0.123456789, 0.12345679)
    assert not same_value(0.1234, 0.1235)
    assert not same_value(None, 0.0)


def test_values_that_are_no_numbers_compare_as_servers_keep_them():
    assert same_value(math.nan, math.nan)
    assert not same_value(math.nan, 1.0)
    assert same_value(sys.float_info.max, math.inf)
    assert not same_value(sys.float_info.max, -math.inf)
