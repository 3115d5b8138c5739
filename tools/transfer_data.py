"""The data sets of classification transfer: list them, and tell which copy of one is there.

``python tools/transfer_data.py`` is ``robust-det transfer-data``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("transfer-data"))
