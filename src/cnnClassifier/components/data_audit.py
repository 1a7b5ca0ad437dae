"""data_audit: say what is wrong with the data, and keep it out of training by a stated policy."""

import logging

from cnnClassifier.components.base import Component
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.audit import apply_policy, audit, check_trainable, summarise
from cnnClassifier.datasets.manifest import read_manifest, write_manifest
from cnnClassifier.files import write_json

log = logging.getLogger(__name__)


class DataAudit(Component[DataAuditConfig]):
    """manifest.csv -> audit.json and the manifest that the policy lets through."""

    def run(self) -> None:
        """Find copies and conflicts, apply the policy, write both."""
        records = read_manifest(self.paths.manifest)
        findings = audit(records)
        kept = apply_policy(records, self.config)
        write_manifest(kept, self.paths.audited_manifest)
        write_json(summarise(records, kept, findings), self.paths.audit)
        check_trainable(records, kept)
        log.info(
            "%d sets of exact copies, %d across the test border, %d label conflicts; %d of %d images kept",
            len(findings.copies), len(findings.leaked_into_test), len(findings.conflicts), len(kept), len(records),
        )  # fmt: skip
