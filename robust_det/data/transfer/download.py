"""Fetching a set from its official source, by torchvision."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.data.transfer.catalogue import facts_of

__all__ = ["download"]


def download(name: str, root: str | Path) -> None:
    """Fetch a set into a folder, which is made.

    torchvision checks MD5s but for those of Aircraft, which it does not have.

    Args:
        name: of the catalogue.
        root: the folder.

    Raises:
        UserError: nobody can fetch it, or it cannot be had now; says where to find it.
    """
    facts = facts_of(name)
    by_hand = f"it is at {facts.source}; put it into {root} as {facts.layout}"
    if not facts.torchvision:
        raise UserError(f"{facts.title} cannot be downloaded", by_hand if facts.source else "")
    import torchvision.datasets

    folder = Path(root).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        getattr(torchvision.datasets, facts.torchvision)(str(folder), download=True)
    except Exception as error:  # of the network, of archives, and torchvision's own RuntimeError
        raise UserError(f"downloading {facts.title} failed: {reason_of(error)}", by_hand) from error
