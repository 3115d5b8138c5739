"""Do a list of fine-tuning runs: learning rates, seeds, backbones, data sets.

``python tools/sweep.py`` is ``robust-det sweep``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("sweep"))
