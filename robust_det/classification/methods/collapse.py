"""Whether training by one step has collapsed: its robustness is gone from one epoch to the next.

Known as catastrophic overfitting (Wong et al. 2020): the network resists the one step
that it is trained by, and no other attack.
"""

from __future__ import annotations

from pathlib import Path

from robust_det.core.config.reading import CfgNode

__all__ = ["collapse", "way_out"]

# accuracy under attack below this share of its best is no noise
_FAR_BELOW = 0.5


def way_out(cfg: CfgNode) -> str:
    """Return what may keep training by one step from a collapse, of keys that a config can have."""
    longer = "more ATTACK.STEPS"
    if cfg.TRAIN.METHOD == "fast":  # one step is what it is
        longer = f"TRAIN.METHOD pgd and {longer}"
    # APGD sizes its steps itself
    return longer if cfg.ATTACK.NAME == "apgd" else f"a smaller ATTACK.STEP_SIZE or {longer}"


def collapse(
    accuracy: float, epoch: int, best: float, best_epoch: int, kept: Path, instead: str
) -> str:
    """Return what is to be said of a collapse; empty if there is none.

    Args:
        accuracy: validated under attack after an epoch, in percent.
        epoch: that one.
        best: the highest before, in percent; negative if there is none.
        best_epoch: when that was.
        kept: the file of the weights of then.
        instead: see :func:`way_out`.
    """
    if accuracy >= _FAR_BELOW * best:
        return ""
    return (
        f"training by one step has collapsed: accuracy under attack is {accuracy:.2f}% after epoch"
        f" {epoch}, and was {best:.2f}% after epoch {best_epoch}, whose weights are in {kept}; take"
        f" those, or begin anew with {instead}"
    )
