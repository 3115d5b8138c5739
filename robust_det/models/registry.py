"""The architecture registry: what is known about an architecture, by name.

An entry says how to build the classifier, which of its features are the stages res2..res5, and how
Detectron2 and timm spell the same network. The entries are in :mod:`.catalogue`; everything else
asks here. A name such as ``timm:convnextv2_atto`` is a member of a family, whose entries are made
when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from robust_det.core.errors import UserError, did_you_mean
from robust_det.models.other_names import OtherNames

__all__ = [
    "ARCHITECTURES",
    "FAMILIES",
    "Architecture",
    "Family",
    "ResNetLayout",
    "Stage",
    "check_image_size",
    "get_architecture",
    "member_named",
    "register",
]


@dataclass(frozen=True)
class Stage:
    """One feature stage.

    Args:
        name: as Detectron2 calls it, such as ``res4``.
        node: what ends it, as torchvision's feature extraction names it: a module, or a call in
            the network's forward pass.
        channels: its width.
        stride: pixels of the image from one feature to the next.
    """

    name: str
    node: str
    channels: int
    stride: int


@dataclass(frozen=True)
class ResNetLayout:
    """What Detectron2 needs to build the same residual network.

    Args:
        blocks: residual blocks in res2..res5.
        bottleneck: bottleneck blocks if true, basic blocks otherwise.
        stem_channels: output channels of the stem.
        res2_channels: output channels of res2; doubled at each later stage.
        inner_channels: width of the 3x3 convolution of a bottleneck in res2; doubled likewise.
        groups: of that convolution.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    stem_channels: int
    res2_channels: int
    inner_channels: int
    groups: int = 1

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages res2..res5 with torchvision's module names."""
        return tuple(
            Stage(f"res{i + 2}", f"layer{i + 1}", self.res2_channels * 2**i, 4 * 2**i)
            for i in range(4)
        )


@dataclass(frozen=True)
class Architecture:
    """One registered architecture.

    Args:
        name: the registry name, as torchvision calls it where it has it.
        build: ``num_classes -> nn.Module`` with the library's parameter names, randomly
            initialised; takes normalised images (N, 3, H, W), returns logits (N, num_classes).
        head: name of the layer that makes the logits, see :mod:`.heads`. Its first part, up to a
            dot, holds all that comes after the features, but for ``behind``.
        stem: the node that ends the stem, which comes before the first stage; empty without stages.
        stages: the feature stages, shallow to deep; none of a network that is no backbone.
        layout: of a residual network, how Detectron2 spells it.
        library: whose names its own are.
        timm: how timm spells it; None if timm does not have it.
        others: further spellings that files have, by whose they are.
        behind: other modules that come after the features.
        no_stages: why it has none, in words that follow its name.
        image_size: side of the images in pixels, of a network that takes no others.
        unnormalised: whether its published weights take images in [0, 1] as they are.
    """

    name: str
    build: Callable[[int], nn.Module]
    head: str
    stem: str
    stages: tuple[Stage, ...]
    layout: ResNetLayout | None = None
    library: str = "torchvision"
    timm: OtherNames | None = None
    others: Mapping[str, OtherNames] = field(default_factory=dict)
    behind: tuple[str, ...] = ()
    no_stages: str = ""
    image_size: int | None = None
    unnormalised: bool = False

    def in_head(self, name: str) -> bool:
        """Whether a tensor of that name comes after the features."""
        heads = (self.head.partition(".")[0], *self.behind)
        return name.startswith(tuple(f"{head}." for head in heads))

    def require_stages(self) -> None:
        """Refuse a network that cannot be a backbone.

        Raises:
            UserError: says why.
        """
        if not self.stages:
            raise UserError(
                f"{self.name} is no backbone: {self.no_stages}",
                "it is a classifier, for evaluation and transfer",
            )


@dataclass(frozen=True)
class Family:
    """Architectures of another library, as many as it has.

    Args:
        find: the architecture of a name without the family's; raises :class:`UserError`.
        has: whether there is a network of that name.
    """

    find: Callable[[str], Architecture]
    has: Callable[[str], bool]


ARCHITECTURES: dict[str, Architecture] = {}
# by what stands before the colon
FAMILIES: dict[str, Family] = {}


def register(architecture: Architecture) -> Architecture:
    """Add an architecture; a name can be taken only once."""
    if architecture.name in ARCHITECTURES:
        raise ValueError(f"architecture {architecture.name} is registered already")
    ARCHITECTURES[architecture.name] = architecture
    return architecture


def get_architecture(name: str) -> Architecture:
    """Return the architecture of that name.

    Raises:
        UserError: the name is unknown; the nearest known one is suggested, or all are named.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    prefix, colon, member = name.partition(":")
    if colon and prefix in FAMILIES:
        return FAMILIES[prefix].find(member)
    if member := member_named(name):
        raise UserError(f"unknown architecture '{name}'; did you mean '{member}'?")
    known = ", ".join((*ARCHITECTURES, *(f"{prefix}:NAME" for prefix in FAMILIES)))
    hint = did_you_mean(name, ARCHITECTURES) or f" (known: {known})"
    raise UserError(f"unknown architecture '{name}'{hint}")


def member_named(name: str) -> str:
    """Return the architecture of a family that another library calls so; nothing if none is, or the
    registry has it.

    Args:
        name: maybe with a folder before it and a tag of weights behind it, as in
            ``timm/resnet50d.ra2_in1k``.
    """
    bare = name.rpartition("/")[2].partition(".")[0]
    if bare in ARCHITECTURES:
        return ""
    return next((f"{prefix}:{bare}" for prefix, each in FAMILIES.items() if each.has(bare)), "")


def check_image_size(name: str, size: int) -> None:
    """Refuse images that a network cannot take.

    Args:
        name: of its architecture.
        size: side of the images in pixels.

    Raises:
        UserError: it takes those of one other size alone.
    """
    own = get_architecture(name).image_size
    if own is not None and size != own:
        raise UserError(
            f"{name} takes images of {own} px alone, not {size}", f"let DATA.IMAGE_SIZE be {own}"
        )
