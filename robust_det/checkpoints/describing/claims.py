"""Which network a file says that it is of, in the many ways in which networks are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from robust_det.checkpoints.describing.said import Said
from robust_det.checkpoints.words import words_of
from robust_det.models import ARCHITECTURES

__all__ = ["Claim", "contradicting", "names_another"]

# what the network is called by; what else these keys hold is nobody's name and is passed over
_KEYS = words_of(
    "arch architecture arch_name model_arch model model_name model_type base_model base_arch net"
    " network net_name backbone backbone_name backbone_arch encoder encoder_name cnn"
)
# not what the file is of
_OTHERS = re.compile(
    r"(teacher|loss|critic|criterion|perceptual|lpips|discriminator|decoder|generator|text|language)"
)
_LONGEST = 120
# how else our networks are called, without what separates words
_ALIASES = {
    **{f"r{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{f"rn{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    "wideresnet50": "wide_resnet50_2",
    "wrn502": "wide_resnet50_2",
    "wrn504": "wide_resnet50_4",
    "resnext50": "resnext50_32x4d",
    "vgg16": "vgg16_bn",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv2100": "mobilenet_v2",
    "mnasnet100": "mnasnet1_0",
    "mnasnetb1": "mnasnet1_0",
    "shufflenetv2": "shufflenet_v2_x1_0",
    "convnextt": "convnext_tiny",
    "convnexts": "convnext_small",
    "convnextb": "convnext_base",
    # Singh et al. 2023
    "convnexttinycvst": "convnext_tiny_convstem",
    "convnexttcvst": "convnext_tiny_convstem",
    "convnextscvst": "convnext_small_convstem",
    "convnextbcvst": "convnext_base_convstem",
}
# with a number, the name of a network; without one it is often that of a class
_FAMILY = re.compile(
    r"\w*res(net|nex?t|nest|2ne)|wrn|densenet|vgg|mobilenet|(se)?m?nasnet|shufflenet|convnext|efficient"
    r"|regnet|vit(?![a-z]{2})|deit|swin|inception|googlenet|alexnet|squeezenet|dla\d|hrnet|dpn"
    r"|xception|nf(net|$)|\w*darknet|ghostnet|mixnet|botnet|halonet|repvgg|beit|maxvit|coatnet"
)
# what makes another network of the one whose name it stands beside or is part of
_VARIANTS = words_of(
    "tn rs csp gc lambda nf hnf wide se sk eca ge cbam bam ibn preact aa blur"
    " blurpool gn ln ws frn evos evob groupnorm gelu silu swish elu mish leaky leakyrelu prelu"
    " hardswish caffe clip dilated dc5 deeplab deeplabv3 deeplabv3plus fcn pspnet d8 os8 os16 v1c"
    " v1d v1e v1s"
)
# the same, if it is part of the name; beside it, it is a student, a head or what is pretrained
_PARTS = _VARIANTS | words_of("b c d t s mlp pre")


@dataclass(frozen=True)
class Claim:
    """What a file says that it is.

    Attributes:
        name: the name of a network.
        where: the place in the file that says so.
    """

    name: str
    where: str


def contradicting(said: Said, arch: str) -> Iterator[Claim]:
    """Yield what a file says of itself that is another network than the given one.

    Args:
        said: by the file.
        arch: registry name of the network that its tensors are.
    """
    for statement in said.statements:
        if statement.key not in _KEYS or not isinstance(statement.value, str):
            continue
        if _OTHERS.search(statement.place.lower()) or len(statement.value) > _LONGEST:
            continue
        if names_another(statement.value, arch):
            yield Claim(statement.value, f"{statement.place}{statement.key}")


def names_another(name: str, arch: str) -> bool:
    """Whether a text names a network, and one that an architecture is not.

    Args:
        name: such as ``timm/resnet50.a1_in1k``; may be none of a network.
        arch: registry name.
    """
    aliases = {_compressed(known): known for known in ARCHITECTURES} | _ALIASES
    if (of_a_family := arch.rpartition(":"))[1]:
        aliases[_compressed(of_a_family[2])] = arch
    # in timm's names the training follows after a dot, and modules end with one
    # and in a path the last that names a network is what the file is called by
    for part in (
        p for folder in reversed(name.lower().split("/")) for p in re.split("[.:]", folder)
    ):
        words = re.findall(r"[a-z0-9]+", part)
        found, is_variant = _known(words, aliases)
        if found:
            return arch not in found or is_variant
        if re.search(r"\d", part) and any(map(_FAMILY.match, words)):
            return True
    return False


def _compressed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _known(words: list[str], aliases: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return the networks of ours among some words, and whether others make a variant of them."""
    found, is_variant, at = [], False, 0
    while at < len(words):
        for end in range(min(at + 4, len(words)), at, -1):
            if (joined := "".join(words[at:end])) in aliases:
                found.append(aliases[joined])
                at = end
                break
        else:
            inside = _inside(words[at], aliases)
            found += [aliases[alias] for alias, *_ in inside]
            is_variant |= any(rest in _PARTS for _, *around in inside for rest in around)
            is_variant |= words[at] in _VARIANTS
            at += 1
    return found, is_variant


def _inside(word: str, aliases: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the name within a word, such as ``litresnet50fpn``, and what is around it."""
    for alias in sorted(aliases, key=len, reverse=True):
        before, name, after = word.partition(alias)
        # r50 is found in too much
        if name and len(alias) > 5 and not after[:1].isdigit():
            return [(alias, before, after)]
    return []
