"""The whole road on synthetic data: pretrain, convert, fine-tune, compare.

``python tools/demo.py`` is ``robust-det demo``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("demo"))
