"""From a transfer config to the images that are trained, chosen and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robust_det.classification.augmentation import augmentation
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError, counted
from robust_det.data.classification.crops import Transform, eval_transform
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.catalogue import Facts, facts_of
from robust_det.data.transfer.check import OFFICIAL, OWN, judge
from robust_det.data.transfer.images import ManifestImages
from robust_det.data.transfer.manifest import Manifest, read_manifest
from robust_det.data.transfer.splits import subset, with_validation
from robust_det.data.transfer.survey import survey
from robust_det.data.transfer.verify import base_below

__all__ = ["TransferSet", "open_set", "refuse_other_images"]


@dataclass(frozen=True)
class TransferSet:
    """A set as a run uses it.

    Attributes:
        facts: what is known of it.
        manifest: its splits, whole: what a record cites.
        used: the same with the subset that is trained on, and with validation images held out.
        base: the folder that paths are relative to.
        notes: what should be said of it, one sentence each.
    """

    facts: Facts
    manifest: Manifest
    used: Manifest
    base: Path
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names in the order of labels."""
        return self.used.classes

    def images(self, cfg: CfgNode, split: str) -> ManifestImages:
        """Return a split (``train``, ``val``, ``test``, ``training``) as validation sees it.

        Raises:
            FileError: files are missing.
        """
        transform = eval_transform(cfg.DATA.RESIZE, cfg.DATA.IMAGE_SIZE, cfg.TRANSFER.DOWNSCALE)
        return self._list(split, cfg, transform)

    def augmented(self, cfg: CfgNode, split: str) -> ManifestImages:
        """Return a split as training sees it.

        Raises:
            FileError: files are missing.
        """
        transform = augmentation(cfg, cfg.TRANSFER.DOWNSCALE)
        skip = cfg.DATA.ON_CORRUPT == "skip"
        return self._list(split, cfg, transform, substitute=skip)

    def _list(
        self, split: str, cfg: CfgNode, transform: Transform, substitute: bool = False
    ) -> ManifestImages:
        entries = self.used.entries(split)
        return ManifestImages(self.used, entries, self.base, transform, cfg.SEED, substitute)


def open_set(cfg: CfgNode) -> TransferSet:
    """Find a config's set and split it.

    The draw of a set without splits of its own has seed 0 whatever ``SEED`` is, so that all runs
    are tested on the same images; validation images and subsets are drawn by ``SEED``.

    Raises:
        UserError: it is not there, is damaged, has fewer than two classes or no images of a split.
    """
    facts, root = facts_of(cfg.DATA.SET), cfg.DATA.ROOT
    notes = list[str]()
    if cfg.DATA.MANIFEST:
        manifest = read_manifest(cfg.DATA.MANIFEST)
        if manifest.name != cfg.DATA.SET:
            raise UserError(
                f"{cfg.DATA.MANIFEST} is of the set '{manifest.name}', DATA.SET is"
                f" '{cfg.DATA.SET}'; give the one that is meant"
            )
        base = base_below(manifest, root)
    else:
        found = survey(cfg.DATA.SET, root)
        manifest, base = build_manifest(found, paper=cfg.PAPER.FIRST_FILES), found.listed.base
        verdict = judge(found)
        if verdict.kind not in (OFFICIAL, OWN):
            notes.append(f"{facts.title} in {base} is {verdict.kind}: {'; '.join(verdict.differs)}")
            notes += verdict.follows
    notes += manifest.notes
    used = _used(cfg, manifest)
    notes += used.notes[len(manifest.notes) :]
    _refuse_too_small(used, base)
    return TransferSet(facts, manifest, used, base, tuple(notes))


def refuse_other_images(before: str, data: TransferSet, where: Path) -> None:
    """Refuse to go on with a run of other images than those that are there.

    Args:
        before: digest of the run's manifest.
        data: the set that is there.
        where: the run's file or folder.

    Raises:
        UserError: contents, labels or splits are others.
    """
    if before != data.manifest.digest:
        raise UserError(
            f"{where} is of a run with other images, labels or splits than those of {data.base};"
            " put them back, or choose another OUTPUT_DIR"
        )


def _used(cfg: CfgNode, manifest: Manifest) -> Manifest:
    size = cfg.TRANSFER.SUBSET
    if size >= 1:
        manifest = subset(manifest, seed=cfg.SEED, per_class=int(size))
    elif size > 0:
        manifest = subset(manifest, seed=cfg.SEED, fraction=size)
    return with_validation(manifest, cfg.TRANSFER.VALIDATION, cfg.SEED)


def _refuse_too_small(manifest: Manifest, base: Path) -> None:
    trained = {entry.label for entry in manifest.training}
    if len(trained) < 2:
        raise UserError(
            f"{base} has training images of {counted(len(trained), 'class', 'es')}; a classifier"
            " needs two or more"
        )
    if empty := [name for name in manifest.classes if name not in trained]:
        raise UserError(
            f"{counted(len(empty), 'class', 'es')} of {base} have no training image, such as"
            f" {empty[0]}; add some, or leave the classes out"
        )
