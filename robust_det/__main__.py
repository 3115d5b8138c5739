"""``python -m robust_det`` is ``robust-det``."""

import sys

from robust_det.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
