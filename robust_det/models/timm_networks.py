"""Any network of timm as an architecture, told from what timm says of its features."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from robust_det.core.errors import UserError, did_you_mean, reason_of
from robust_det.models.building import without_values
from robust_det.models.heads import features_of_head
from robust_det.models.registry import ARCHITECTURES, Architecture, Stage

__all__ = ["PREFIX", "has_network", "timm_architecture"]

PREFIX = "timm"
# the same networks in the registry, where they have another name
_OURS = {"mobilenetv2_100": "mobilenet_v2", "mnasnet_100": "mnasnet1_0"}
_STRIDES = {4: "res2", 8: "res3", 16: "res4", 32: "res5"}
# others would have timm look for files, here or on a hub
_NAME = re.compile(r"[a-z0-9_]+")


def has_network(name: str) -> bool:
    """Whether timm is installed and has a network of that name."""
    if not _NAME.fullmatch(name) or importlib.util.find_spec("timm") is None:
        return False
    return bool(_timm().is_model(name))


@functools.cache
def timm_architecture(name: str) -> Architecture:
    """Return the architecture of timm's network of that name.

    Raises:
        UserError: timm is not installed or has no such network, the registry has it under its own
            name, or it has several heads, one that is not linear, or modules in several places.
    """
    timm = _timm()
    if timm is None:
        raise UserError(f"{PREFIX}:{name} needs timm; pip install 'timm>=1.0'")
    bare, dot, weights = name.partition(".")
    if dot and has_network(bare):
        raise UserError(
            f"'.{weights}' names weights, and an architecture has none; use '{PREFIX}:{bare}'"
        )
    if not has_network(name):
        raise UserError(f"timm has no network '{name}'{_nearest(timm, name)}")
    ours = ARCHITECTURES.get(_OURS.get(name, name))
    if ours is not None and ours.timm is not None:
        raise UserError(f"timm's {name} is an architecture of the registry: use '{ours.name}'")

    def build(classes: int) -> nn.Module:
        return _build(timm, name, classes)

    try:
        network = without_values(lambda: build(1))
    except Exception as error:  # a constructor may raise anything, such as for a missing package
        raise UserError(f"timm cannot build its {name}: {reason_of(error)}") from error
    return _described(name, build, network)


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        return None
    return timm


def _build(timm: Any, name: str, classes: int) -> nn.Module:
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return network


def _nearest(timm: Any, name: str) -> str:
    hint = did_you_mean(name, timm.list_models())
    return hint.replace("'", f"'{PREFIX}:", 1) if hint else "; timm.list_models() names them"


def _described(name: str, build: Any, network: Any) -> Architecture:
    settings: Mapping[str, Any] = network.pretrained_cfg
    head = settings.get("classifier")
    modules = dict(network.named_modules())
    # those of several heads name them all
    if not isinstance(head, str) or features_of_head(modules.get(head)) is None:
        raise UserError(
            f"timm's {name} makes its logits by other than one linear layer, and is no classifier"
            " here; take another network"
        )
    shared = [n for n in network.state_dict() if n.rpartition(".")[0] not in modules]
    if shared:
        raise UserError(
            f"timm's {name} has modules in more than one place, such as that of {shared[0]}, and is"
            " no architecture here; take another network"
        )
    side = settings["input_size"][-1] if settings.get("fixed_input_size") else None
    stages, reason = _stages(network, modules, side)
    first = stages[0].node if stages else ""
    return Architecture(
        f"{PREFIX}:{name}",
        build,
        head=head,
        stem=_stem(network, list(modules), first) if stages else "",
        stages=stages,
        library=PREFIX,
        behind=_behind(list(modules), stages[-1].node) if stages else (),
        no_stages=reason,
        image_size=side,
    )


def _features(network: Any) -> Sequence[Mapping[str, Any]]:
    info = getattr(network, "feature_info", None) or []
    return info if isinstance(info, list) else list(info.info)


def _stages(
    network: Any, modules: Mapping[str, nn.Module], side: int | None
) -> tuple[tuple[Stage, ...], str]:
    """Return the stages res2 .. res5, or none and why."""
    if side is not None:
        return (), f"it takes images of {side} px alone"
    layout = str(getattr(network, "output_fmt", "NCHW")).rpartition(".")[2]
    if layout != "NCHW":
        return (), f"its features are {layout}, and a detector's are NCHW"
    by_stride = {f["reduction"]: f for f in _features(network) if f["reduction"] in _STRIDES}
    if lacking := [str(stride) for stride in _STRIDES if stride not in by_stride]:
        return (), f"timm names no features of it at stride {' and '.join(lacking)}"
    if lost := [f["module"] for f in by_stride.values() if f["module"] not in modules]:
        return (), f"timm has its features with features_only alone, as '{lost[0]}'"
    found = (
        Stage(stage, by_stride[stride]["module"], by_stride[stride]["num_chs"], stride)
        for stride, stage in _STRIDES.items()
    )
    return tuple(found), ""


def _stem(network: Any, modules: Sequence[str], first: str) -> str:
    """Return the module that ends what comes before the first stage: of timm's features the last
    before it, or the module before it."""
    before = [f["module"] for f in _features(network) if f["reduction"] < min(_STRIDES)]
    named = [module for module in before if module in modules and module]
    if named:
        return str(named[-1])
    at = modules.index(first)
    outer = {first[:i] for i, letter in enumerate(first) if letter == "."} | {""}
    # not what is within the module before it, but that module
    parents = {name.rpartition(".")[0] for name in (first, *outer) if name}
    siblings = [name for name in modules[:at] if name not in outer]
    return next((n for n in reversed(siblings) if n.rpartition(".")[0] in parents), "")


def _behind(modules: Sequence[str], last: str) -> tuple[str, ...]:
    """Return the outermost modules that come after the last stage."""
    ends = max(at for at, name in enumerate(modules) if f"{name}.".startswith(f"{last}."))
    after: list[str] = []
    for name in modules[ends + 1 :]:
        if not name.startswith(tuple(f"{known}." for known in after)):
            after.append(name)
    return tuple(after)
