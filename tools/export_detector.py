"""Export a trained detector or a classifier, and prove that it computes the same.

``python tools/export_detector.py`` is ``robust-det export``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("export"))
