"""Rank backbones for a data set, without fine-tuning.

``python tools/rank.py`` is ``robust-det rank``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("rank"))
