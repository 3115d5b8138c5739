"""Compare the AP of detection runs, by their records.

``python tools/compare_ap.py`` is ``robust-det compare``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("compare"))
