"""State dicts into modules, and in the form in which torch's own loaders take them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch

from robust_det.core.errors import UserError

__all__ = ["load_state", "with_versions"]


def load_state(
    module: torch.nn.Module, state: Mapping[str, Any], source: str, assign: bool = False
) -> None:
    """Load a state dict strictly.

    Args:
        module: gets the tensors.
        state: under the module's names.
        source: of the tensors, for messages.
        assign: let the module have the tensors themselves instead of copies.

    Raises:
        UserError: keys or shapes are those of another network; says the first that differ.
    """
    own = module.state_dict()
    missing = sorted(set(own) - set(state))
    extra = sorted(set(state) - set(own))
    shapes = [k for k in own if k in state and getattr(state[k], "shape", None) != own[k].shape]
    if missing or extra or shapes:
        parts = [
            f"{len(names)} {what} (first: {names[0]})"
            for what, names in (
                ("missing", missing),
                ("unexpected", extra),
                ("of another shape", shapes),
            )
            if names
        ]
        raise UserError(
            f"{source} holds weights of another architecture: tensors {', '.join(parts)}"
        )
    module.load_state_dict(with_versions(state, own), assign=assign)


def with_versions(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict in the order of a module's own, with the versions of its modules.

    torch.save keeps these versions, and torchvision's MNASNet refuses to load without.

    Args:
        state: the values; may lack some.
        own: what ``module.state_dict()`` returns.
    """
    out = OrderedDict((name, state[name]) for name in own if name in state)
    out._metadata = getattr(own, "_metadata", None)  # type: ignore[attr-defined]
    return out
