"""Make the semantic maps that training on panoptic data sets needs.

``python tools/prepare_panoptic.py`` is ``robust-det panoptic``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("panoptic"))
