"""The published robust models: list them, fetch them, measure them again.

``python tools/zoo.py`` is ``robust-det zoo``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("zoo"))
