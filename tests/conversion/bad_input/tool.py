"""The tool, and the network that most tests give it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "convert_backbone.py"
ARCH = "resnet10_narrow"
