"""Fine-tune a detector from a standard or robust backbone.

``python tools/train_net.py`` is ``robust-det train``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("train"))
