"""What tests of several folders share: the tools, and a detector that is tiny."""

from tests.support.detectors import tiny_detector
from tests.support.prepared import python
from tests.support.tools import ROOT, Outcome, outcome_of, refused, run_python, run_tool, start_tool

__all__ = [
    "ROOT",
    "Outcome",
    "outcome_of",
    "python",
    "refused",
    "run_python",
    "run_tool",
    "start_tool",
    "tiny_detector",
]
