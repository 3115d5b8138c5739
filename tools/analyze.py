"""Answer one of the paper's questions from records, reports or networks.

``python tools/analyze.py`` is ``robust-det analyze``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("analyze"))
