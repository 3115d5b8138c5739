"""A real browser for the pages, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Pages", "browser_pages", "serious_findings"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Pages:
    """Opens pages; what the browser's console says of them gathers in ``said``."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self.said: list[str] = []

    def open(self, path: Path, fragment: str = "", **context: Any) -> Any:
        """Return a page that has loaded.

        Args:
            path: of a file.
            fragment: behind the ``#`` of its address.
            context: such as ``viewport`` or ``color_scheme``.
        """
        page = self._browser.new_context(offline=True, **context).new_page()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.goto(f"{path.resolve().as_uri()}{f'#{fragment}' if fragment else ''}")
        return page


@contextmanager
def browser_pages() -> Iterator[Pages]:
    """Give pages of a headless Chromium; without one, or without Playwright, tests are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, _NAMES)), None)
        if found is None and not Path(own).is_file():
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(
            executable_path=found or own,
            args=["--no-sandbox"],  # which root needs
        )
        try:
            yield Pages(browser)
        finally:
            browser.close()


def serious_findings(page: Any) -> list[str]:
    """Return what axe-core finds on a page that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in axe.run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
