"""Train a standard or robust classifier with PGD.

``python tools/pretrain.py`` is ``robust-det pretrain``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("pretrain"))
