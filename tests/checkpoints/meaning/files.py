"""How training scripts name what they save."""

from __future__ import annotations

from typing import Any


def named(prefix: str, network: Any, head: bool = True) -> dict[str, Any]:
    """Return a network's tensors below a prefix."""
    state = network.state_dict()
    return {f"{prefix}{n}": t for n, t in state.items() if head or not n.startswith("fc.")}


def is_of(model: Any, network: Any) -> bool:
    """Whether a model that was read has the first weights of a network."""
    return bool((model.state["conv1.weight"] == network.state_dict()["conv1.weight"]).all())
