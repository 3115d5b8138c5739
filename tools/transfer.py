"""Transfer a backbone to other classes, frozen or fine-tuned, and measure it.

``python tools/transfer.py`` is ``robust-det transfer``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("transfer"))
