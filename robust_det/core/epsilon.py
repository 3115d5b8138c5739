"""How attacks, with norm and eps, are written for people."""

from __future__ import annotations

__all__ = ["attack_label", "eps_label", "format_eps", "norm_label"]

_NORMS = {"l2": "L2", "linf": "L∞"}


def norm_label(norm: str) -> str:
    """Return ``L2`` or ``L∞``; other names as they are."""
    return _NORMS.get(norm, norm)


def format_eps(norm: str | None, eps: float | None) -> str:
    """Return eps as people write it: of linf in 255ths where that is a multiple of a half, else a
    decimal; ``?`` if it is unknown."""
    if eps is None:
        return "?"
    scaled = eps * 255
    if norm == "linf" and 0 < eps <= 1 and abs(scaled * 2 - round(scaled * 2)) < 1e-3:
        return f"{round(scaled * 2) / 2:g}/255"
    return f"{eps:g}"


def attack_label(name: str, steps: int, objective: str) -> str:
    """Return such as ``PGD-10 on the cross-entropy``."""
    return f"{name}-{steps} on the {objective.replace('_', '-')}"


def eps_label(norm: str | None, eps: float | None) -> str:
    """Return ``standard``, ``L2 ε 1``, ``L∞ ε 4/255`` or ``ε unknown``."""
    if eps is None:
        return "ε unknown"
    if eps == 0:
        return "standard"
    return f"{norm_label(norm) if norm else 'unknown norm'} ε {format_eps(norm, eps)}"
