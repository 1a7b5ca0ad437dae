"""Phantoms with and without faults, drawn once for all tests of the audit."""

from dataclasses import dataclass

import pytest
from planted import Planted, plant

from cnnClassifier.audit.examine import examine
from cnnClassifier.audit.findings import Findings
from cnnClassifier.config.data import DataAuditConfig, PhantomFaults

FAULTS = PhantomFaults(exact_copies=4, label_conflicts=3, masks_among_images=5, unreadable=3, source_shortcut=True)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Every fault but the re-cropped copies, which `near_copies` is for; do not write to it."""
    return plant(tmp_path_factory.mktemp("faulty"), FAULTS, seed=5)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """No faults at all; do not write to it."""
    return plant(tmp_path_factory.mktemp("clean"), seed=6)


@dataclass(frozen=True)
class Audited:
    """A phantom whose file names tell no patients, and what the whole audit found in it."""

    phantom: Planted
    found: Findings


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """Planted copies of every kind in pictures of full size; do not write to it."""
    folder = tmp_path_factory.mktemp("audited")
    faults = PhantomFaults(exact_copies=4, recropped_copies=20, label_conflicts=2, masks_among_images=4, unreadable=2)
    phantom = plant(folder, faults, pattern=None, seed=11, patients_per_class=6, slices_per_patient=3, image_size=256)
    config = DataAuditConfig(near_copy=0.985, same_patient=0.8)
    found, _ = examine(phantom.records, phantom.images, folder / "scratch", config, phantom.rejected)
    return Audited(phantom, found)
