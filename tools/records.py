"""The records of runs: list, show, query, check and export them.

``python tools/records.py`` is ``robust-det records``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("records"))
