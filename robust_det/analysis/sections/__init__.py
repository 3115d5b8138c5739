"""The sections of a comparison, one for each kind of record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from robust_det.analysis.options import Options
from robust_det.analysis.sections.classifiers import classifier_section, evaluation_section
from robust_det.analysis.sections.detectors import detector_section
from robust_det.analysis.sections.robustness import robustness_section
from robust_det.analysis.sections.section import Section
from robust_det.analysis.sections.transfer import transfer_section

__all__ = ["SECTIONS", "Section"]

# by kind of record, in the order in which they stand: what makes a section of the records with
# their files, which may be none, and of what is asked for beyond the tables
_Builder = Callable[[Sequence[tuple[Path, Any]], Options], Section]
SECTIONS: dict[str, _Builder] = {
    "detection": detector_section,
    "transfer": transfer_section,
    "pretrain": classifier_section,
    "classifier_evaluation": evaluation_section,
    "robustness": robustness_section,
}
