"""data_ingestion: bring the images here, describe each in the manifest, leave out what is no image."""

import logging
import shutil
from pathlib import Path

from cnnClassifier.components.base import Component
from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.datasets.fingerprint import fingerprint
from cnnClassifier.datasets.ingest import check_classes, copy_readable, draw_missing_splits
from cnnClassifier.datasets.manifest import Classes, Drawn, write_classes, write_manifest, write_rejected
from cnnClassifier.datasets.plausibility import check_listing
from cnnClassifier.datasets.sources import find_candidates
from cnnClassifier.datasets.synthetic import is_synthetic, write_mark
from cnnClassifier.files import new_folder, scratch_folder, write_json

log = logging.getLogger(__name__)


class DataIngestion(Component[DataIngestionConfig]):
    """Source -> images, manifest.csv, rejected.csv, classes.json, source.json (and, for the phantom, lesion masks)."""

    def run(self) -> None:
        """Copy and describe all readable images; the folder of images appears only when it is complete."""
        seen = fingerprint(self.config)  # before: what changes meanwhile counts as changed
        with scratch_folder(self.paths.work / "data_ingestion") as work:
            candidates, misplaced = listing = find_candidates(self.config, work)
            check_listing(listing, self.config)
            classes = self._describe()
            with new_folder(self.paths.images) as images:
                records, unreadable = copy_readable(candidates, images)
                # First of all, for whoever has to find out why a class is empty.
                write_rejected([*misplaced, *unreadable], self.paths.rejected)
                records = draw_missing_splits(records, self.config.random_split, self.config.seed)
                check_classes(records, classes.names, self.config.filled_splits, drawn=classes.drawn is not None)
                if classes.synthetic:  # whoever copies these images must not take them for patients'
                    write_mark(images)
                # Interrupted from here on, there is no manifest: an old one would describe other images.
                self.paths.manifest.unlink(missing_ok=True)
            self._keep_lesion_masks(work / "phantom" / "masks")
        write_manifest(records, self.paths.manifest)
        write_classes(classes, self.paths.classes)
        write_json({"fingerprint": seen}, self.paths.source)
        log.info(
            "%d images of %d classes; %d files left out (%s)",
            len(records), len(classes.names), len(misplaced) + len(unreadable), self.paths.rejected,
        )  # fmt: skip

    def _describe(self) -> Classes:
        shares = self.config.random_split
        drawn = Drawn(shares.valid, shares.test, self.config.seed) if shares else None
        synthetic = is_synthetic(self.config.source)
        return Classes(tuple(self.config.classes), synthetic, published=drawn is None, drawn=drawn)

    def _keep_lesion_masks(self, masks: Path) -> None:
        """DVC wants each output to exist: for real data the folder is empty."""
        with new_folder(self.paths.lesion_masks) as folder:
            if masks.is_dir():
                shutil.copytree(masks, folder, dirs_exist_ok=True)
