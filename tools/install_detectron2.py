"""Install Detectron2 0.5 as a pure-Python package, unless a Detectron2 is there.

``python tools/install_detectron2.py`` is ``robust-det install-detectron2``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("install-detectron2"))
