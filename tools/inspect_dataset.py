"""Check data sets, print their statistics, and draw samples.

``python tools/inspect_dataset.py`` is ``robust-det inspect``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("inspect"))
