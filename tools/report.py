"""Write a static site of all runs: overview, questions, a page for each.

``python tools/report.py`` is ``robust-det report``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("report"))
