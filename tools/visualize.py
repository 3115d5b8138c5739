"""Show what networks look at, standard and robust ones side by side.

``python tools/visualize.py`` is ``robust-det visualize``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("visualize"))
