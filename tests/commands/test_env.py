"""``robust-det env``: what an issue report needs, whatever is broken."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import pytest
import torch

import robust_det
from robust_det.core import installation
from robust_det.core.errors import UserError


def facts(text: str) -> dict[str, str]:
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines())


def test_versions_devices_and_origins(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", "/some/cache")
    done = command("env")
    assert done.code == 0
    found = facts(done.out)
    assert found["robust_det"].startswith(f"{robust_det.__version__}, commit ")
    assert found["robust_det"].endswith(f"in {installation.PACKAGE}")
    assert found["torch"] == metadata.version("torch")
    assert found["threads of torch"].startswith(f"{torch.get_num_threads()}, ")
    assert found["$ROBUST_DET_CACHE"] == "/some/cache"
    import detectron2

    version, kind, origin = found["detectron2"].split(", ")[:3]
    assert version == metadata.version("detectron2")
    assert origin == f"in {detectron2.__path__[0]}"
    assert kind in ("pure Python", "compiled")
    if version == "0.5":
        from robust_det.backbones.compat import prepare_detectron2

        prepare_detectron2()
        from detectron2 import _C

        assert kind == ("compiled" if getattr(_C, "__file__", None) else "pure Python")


def test_what_is_missing_is_said_in_its_line(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise UserError("Detectron2 is not\ninstalled")

    monkeypatch.setattr("robust_det.backbones.compat.installed_version", refuse)
    done = command("env")
    assert done.code == 0
    assert facts(done.out)["detectron2"] == "not available: Detectron2 is not installed"
