"""Templates to text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

__all__ = ["environment_of", "render"]

_OWN = Path(__file__).parent / "templates"


@cache
def environment_of(folder: Path) -> Environment:
    """Return what renders the templates of a folder, which may extend ``base.html``.

    All text is escaped. A name that a template asks for and is not given is an error.

    Args:
        folder: of templates that are not shared.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, _OWN]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"parts": _parts, "options": _options}
    return environment


def render(
    folder: Path,
    template: str,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> Markup:
    """Return a rendered template, which another one takes as it is.

    Args:
        folder: see :func:`environment_of`.
        template: its file there.
        values: by name; texts are escaped, :class:`~markupsafe.Markup` is not.
        filters: of this template alone.
    """
    environment = environment_of(folder)
    if filters:
        environment = environment.overlay()
        environment.filters = {**environment.filters, **filters}
    # Markup: rendered by this environment, so escaped
    return Markup(environment.get_template(template).render(values))


def _options(sentence: str) -> Markup:
    """A sentence in which the options of a command are not broken over two lines."""
    return Markup(
        re.sub(r"--[a-z]+(?:-[a-z]+)*", r'<code class="part">\g<0></code>', str(escape(sentence)))
    )


def _parts(cell: str) -> Markup:
    """A figure and its spread, between which a narrow column may break the line, and no more."""
    parts = re.sub(r" (?=[(\[±])", "\n", cell).split("\n")
    return Markup(" ").join(Markup('<span class="part">{}</span>').format(part) for part in parts)
