"""Turn any checkpoint into verified Detectron2 backbone weights, or back.

``python tools/convert_backbone.py`` is ``robust-det convert``, from a checkout.
"""

import sys

from robust_det.commands.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("convert"))
