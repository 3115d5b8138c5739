"""Measure how robust a classifier is, by several attacks.

``python tools/evaluate.py`` is ``robust-det evaluate``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("evaluate"))
