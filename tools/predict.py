"""Detect objects on images or a video with a trained detector.

``python tools/predict.py`` is ``robust-det predict``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("predict"))
