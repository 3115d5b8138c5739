"""Progress bars in a log file: none of what is quick, and lines beside them stay whole."""

from __future__ import annotations

import logging
import time

import pytest

from robust_det.core.cli import setup_logging
from robust_det.core.progress import progress_bar


@pytest.mark.parametrize("waits", [False, True])
def test_lines_beside_a_bar_stay_whole(
    waits: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("robust_det")
    for name, value in (("handlers", []), ("propagate", True), ("level", logging.INFO)):
        monkeypatch.setattr(logger, name, value)  # put back afterwards
    setup_logging()
    now, clock = time.time(), [0.0]
    bar = progress_bar(4, "score", "step")
    monkeypatch.setattr(bar, "_time", lambda: now + clock[0])
    with bar:
        clock[0] = 60.0 if waits else 1.0
        logging.getLogger("robust_det.test").info("a line")
        bar.update()
    out, err = capsys.readouterr()
    assert out.endswith("a line\n")
    if waits:
        assert "score:" in err and err.rsplit("\r", 1)[-1].strip() == ""
    else:
        assert err.strip() == ""
