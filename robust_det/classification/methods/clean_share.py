"""How many images of a batch stay clean."""

from __future__ import annotations

from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.training.world import World

__all__ = ["check_clean_share", "clean_images"]


def clean_images(share: float, images: int, world: World) -> int:
    """Return how many of this process's images of a pass stay clean: the first.

    The first images of the whole batch do, of which each process has every n-th: as many as one
    process would leave clean.

    Args:
        share: of all.
        images: that each process has.
        world: the processes.
    """
    return len(range(world.rank, round(share * images * world.size), world.size))


def check_clean_share(cfg: CfgNode, processes: int) -> None:
    """Refuse a share that leaves nothing clean, or nothing to attack.

    Raises:
        UserError: see there.
    """
    share = cfg.TRAIN.CLEAN_SHARE
    if share == 0 or cfg.ATTACK.EPS == 0:
        return
    images = cfg.TRAIN.BATCH_SIZE // processes // cfg.TRAIN.ACCUMULATE
    worlds = [World(rank, processes) for rank in range(processes)]
    clean = [clean_images(share, images, world) for world in worlds]
    for what, least in (("clean", min(clean)), ("attacked", images - max(clean))):
        if least < 2:
            raise UserError(
                f"TRAIN.CLEAN_SHARE {share:g} of the {images} images of a pass leaves {least}"
                f" {what}, and 2 are needed; give another share, or a larger TRAIN.BATCH_SIZE"
            )
