"""What a backbone was trained to, in the words by which backbones are grouped."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.core.epsilon import eps_label
from robust_det.visualization.networks import ShownBackbone
from robust_det.zoo.published import STYLIZED

__all__ = ["STANDARD", "TEXTURE_TRAINED", "UNKNOWN", "other_trainings", "training_of"]

STANDARD = eps_label("", 0.0)
UNKNOWN = eps_label("", None)
TEXTURE_TRAINED = "texture-trained"  # on Stylized-ImageNet: of eps 0, and no standard one


def training_of(backbone: ShownBackbone) -> str:
    """Return such as ``standard`` or ``L2 ε 1``; backbones of one are runs of one recipe, as far as
    their files say."""
    file, card = backbone.file, backbone.model.card
    for model in STYLIZED.values():
        hashes = (file.sha256, file.source_sha256)
        if file.name == model.name or any(one.startswith(model.sha256_prefix) for one in hashes):
            return TEXTURE_TRAINED
    return eps_label(card.norm, card.eps)


def other_trainings(backbones: Sequence[ShownBackbone]) -> list[str]:
    """Return the trainings that are compared with the standard one, smallest eps first."""
    found = {
        training_of(each): (each.model.card.norm, each.model.card.eps or 0) for each in backbones
    }
    others = [name for name in found if name not in (STANDARD, UNKNOWN)]
    return sorted(others, key=lambda name: found[name])
