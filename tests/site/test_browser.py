"""The site in a browser: it opens, sorts, filters, prints, and can be used by all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.site.library import read_library
from robust_det.site.overview import groups_of
from robust_det.site.overview_page import overview_page
from tests.support.browser import Pages, serious_findings

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}


def _pages_of(site: Path) -> list[Path]:
    """All pages but those of runs, and one of these of each kind."""
    runs = [
        next(site.glob(f"runs/{name}-*.html"))
        for name in ("pgd_seed0", "pgd_seed0_quick", "tiny_r18_eps1_bccd_seed0")
    ]
    return [*sorted(site.glob("*.html")), *runs]


def test_pages_open_without_a_word_of_complaint(site: Path, pages: Pages) -> None:
    for path in _pages_of(site):
        page = pages.open(path)
        assert page.title() and page.locator("h1").count() == 1
        page.context.close()
    assert pages.said == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_use_a_page_of_each_template(site: Path, pages: Pages, scheme: str) -> None:
    names = {"index", "runs", "transfer", "detection", "question-texture"}
    for path in (one for one in _pages_of(site) if one.stem in names or one.parent != site):
        page = pages.open(path, color_scheme=scheme)
        assert serious_findings(page) == [], path
        page.context.close()


def test_pages_fit_a_phone(site: Path, pages: Pages) -> None:
    for path in _pages_of(site):
        page = pages.open(path, **PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.context.close()


def _column(page: object, name: str) -> list[str]:
    script = """name => {
        const place = [...document.querySelectorAll("thead th")]
            .findIndex(head => head.textContent.trim() === name);
        return [...document.querySelectorAll("tbody tr")].filter(row => !row.hidden)
            .map(row => row.cells[place].textContent);
    }"""
    return page.evaluate(script, name)  # type: ignore[attr-defined, no-any-return]


def test_the_overview_sorts_filters_and_searches(site: Path, pages: Pages) -> None:
    page = pages.open(site / "index.html")
    rows = page.locator("tbody tr").count()
    page.get_by_role("button", name="mean", exact=True).click()
    down = [float(text.split()[0]) for text in _column(page, "mean")]
    assert down == sorted(down, reverse=True) and len(down) == rows
    page.get_by_role("button", name="mean", exact=True).press("Enter")  # without a mouse
    assert [float(text.split()[0]) for text in _column(page, "mean")] == sorted(down)
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.locator("select[name=figure]").select_option("=robust top-1, ε 0.5")
    assert set(_column(page, "figure")) == {"robust top-1, ε 0.5"}
    shown = page.locator("output").inner_text()
    assert shown == f"{len(_column(page, 'figure'))} of {rows} shown"
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Search").fill("FLOWERS standard")
    assert set(_column(page, "task")) == {"flowers_cls"}
    assert set(_column(page, "backbone")) == {"standard"}
    # the address leads to the same view again
    again = pages.open(site / "index.html", page.url.partition("#")[2])
    assert _column(again, "mean") == _column(page, "mean")
    page.context.close()
    again.context.close()


def test_backbones_are_in_the_order_of_their_eps(runs: Path, tmp_path: Path, pages: Pages) -> None:
    source = runs / "small_flowers_r18_eps1_seed0_modefixed-feature_seed0" / "record.json"
    record = json.loads(source.read_text())
    for number, eps in enumerate((0.5, 0.25, 0.03, None)):
        record |= {"eps": eps}
        record["weights"]["sha256"] = f"{number}" * 64
        (runs / f"more{number}").mkdir()
        (runs / f"more{number}" / "record.json").write_text(json.dumps(record))
    library = read_library([runs])
    first = tmp_path / "index.html"
    first.write_text(overview_page(library, groups_of(library), [], "All", []))
    page = pages.open(first)
    page.get_by_label("Search").fill("flowers fixed resnet18")
    page.get_by_role("button", name="backbone", exact=True).click()
    order = list(dict.fromkeys(_column(page, "backbone")))
    known = ["standard", "L2 ε 0.03", "L2 ε 0.25", "L2 ε 0.5", "L2 ε 1"]
    assert order == [*known, "ε unknown (33333333)"]
    page.get_by_role("button", name="backbone", exact=True).click()
    assert list(dict.fromkeys(_column(page, "backbone"))) == [*known[::-1], order[-1]]
    choices = page.locator("select[name=backbone] option").all_inner_texts()
    assert [one for one in choices if one in known] == known
    page.context.close()


def test_a_mean_leads_to_its_runs(site: Path, pages: Pages) -> None:
    page = pages.open(site / "index.html")
    link = page.locator("tbody tr td:last-child a[href*=group]").first
    number = int(link.inner_text())
    link.click()
    page.wait_for_url("**/runs.html#group=*")
    assert len(_column(page, "run")) == number > 1
    assert page.locator("output").inner_text().endswith("shown: those of one line of the overview")
    page.locator("tbody tr:not([hidden]) a").first.click()
    assert page.locator("h2", has_text="Lineage").count() == 1
    page.context.close()


def test_without_scripts_the_tables_are_whole(site: Path, pages: Pages) -> None:
    page = pages.open(site / "runs.html", java_script_enabled=False)
    assert page.locator("tbody tr").count() == len(list(site.glob("records/*.json")))
    assert page.locator("form").count() == 0  # nothing that would do nothing
    page.context.close()


def test_it_prints(site: Path, pages: Pages, tmp_path: Path) -> None:
    page = pages.open(site / "index.html")
    page.pdf(path=tmp_path / "site.pdf")
    assert (tmp_path / "site.pdf").read_bytes().startswith(b"%PDF-")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible() and not page.locator(".controls").is_visible()
    page.context.close()
