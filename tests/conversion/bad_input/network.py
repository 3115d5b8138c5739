"""The network that most tests give the converter."""

from __future__ import annotations

ARCH = "resnet10_narrow"
