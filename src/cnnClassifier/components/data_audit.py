"""data_audit: say what is wrong with the data, and keep it out of training by a stated policy."""

import logging

from cnnClassifier.audit.compliance import check_policy
from cnnClassifier.audit.examine import examine
from cnnClassifier.audit.facts import save_facts
from cnnClassifier.audit.pairs import write_pairs
from cnnClassifier.audit.policy import MASK, check_dealt, check_trainable
from cnnClassifier.audit.report import write_report
from cnnClassifier.audit.summary import summarise
from cnnClassifier.components.base import Component
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import read_classes, read_manifest, read_rejected, write_manifest
from cnnClassifier.files import write_json

log = logging.getLogger(__name__)


class DataAudit(Component[DataAuditConfig]):
    """Images and manifest -> the manifest that the policy lets through, with groups; pairs, facts, audit, report."""

    def run(self) -> None:
        """Examine the images and write down what was found before anything is refused."""
        # Should the data be refused, the next stage is not to go on with what an earlier audit let through.
        self.paths.audited_manifest.unlink(missing_ok=True)
        records = read_manifest(self.paths.manifest)
        rejected = read_rejected(self.paths.rejected)
        scratch = self.paths.work / "data_audit"
        classes = read_classes(self.paths.classes)
        found, facts = examine(
            records, self.paths.images, scratch, self.config, rejected, classes.published, drawn=classes.drawn
        )
        audit = summarise(found)
        write_pairs(found.pairs, self.paths.pairs)
        save_facts(facts, self.paths.facts)
        write_json(audit, self.paths.audit)
        write_report(audit, found.records, found.pairs, self.paths.images, self.paths.audit_report)
        log.info("%s", audit["verdict"])
        check_policy(found)
        check_trainable(records, found.kept.records)
        if classes.drawn:
            masks = {item.path for item in found.kept.dropped if item.reason == MASK}
            check_dealt([record for record in found.records if record.path not in masks], classes)
        write_manifest(found.kept.records, self.paths.audited_manifest)
        log.info(
            "%d of %d images kept; the report is %s", len(found.kept.records), len(records), self.paths.audit_report
        )
