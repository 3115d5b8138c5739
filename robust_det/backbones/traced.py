"""Any other network of torchvision as a Detectron2 backbone: one wrapper around its features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torchvision.models.feature_extraction import DualGraphModule, create_feature_extractor

from robust_det.backbones.norms import replace_batch_norms
from robust_det.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.stages import tensor_stages

__all__ = ["TracedBackbone", "trace_last_stage"]


class TracedBackbone(Backbone):
    """The features of a registered network, as torchvision's feature extraction takes them.

    Args:
        arch: registry name.
        norm: replaces batch norms, as in ``MODEL.RESNETS.NORM``; layer norms stay.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``; stages after the last
            of them are not built.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, and so on.

    Raises:
        UserError: unknown architecture, stage or norm.
    """

    def __init__(
        self,
        arch: str,
        *,
        norm: str = "FrozenBN",
        out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
        freeze_at: int = 0,
    ) -> None:
        super().__init__()
        self.body = _trace(arch, out_features, norm)
        stages = {stage.name: stage for stage in get_architecture(arch).stages}
        self._out_features = list(out_features)
        self._out_feature_channels = {n: s.channels for n, s in stages.items() if n in out_features}
        self._out_feature_strides = {n: s.stride for n, s in stages.items() if n in out_features}
        if "stem" in out_features:
            self._measure_stem()
        self._freeze(arch, ["stem", *stages][:freeze_at])

    def _measure_stem(self) -> None:
        training = self.body.training
        with torch.no_grad():
            stem = self.body.eval()(torch.zeros(1, 3, 64, 64))["stem"]
        self.body.train(training)
        self._out_feature_channels["stem"] = stem.shape[1]
        self._out_feature_strides["stem"] = 64 // stem.shape[2]

    def _freeze(self, arch: str, frozen: Sequence[str]) -> None:
        modules = dict(self.body.named_modules())
        stages = tensor_stages(arch)
        owners = {n.rpartition(".")[0] for n, stage in stages.items() if stage in frozen}
        built = owners & modules.keys()
        for name in built:
            for parameter in modules[name].parameters(recurse=False):
                parameter.requires_grad = False
        replace_batch_norms(self.body, built, "FrozenBN")

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the stages by name, (N, C, H / stride, W / stride), of images (N, 3, H, W)."""
        features = self.body(x)
        return {name: features[name] for name in self._out_features}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the channels and stride of each stage."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }


def _trace(arch: str, wanted: Sequence[str], norm: str) -> DualGraphModule:
    """Return the network up to the deepest of the wanted stages: images to stages by name."""
    architecture = get_architecture(arch)
    nodes = {"stem": architecture.stem, **{s.name: s.node for s in architecture.stages}}
    unknown = [name for name in wanted if name not in nodes]
    if unknown:
        raise UserError(f"{arch} has no stage '{unknown[0]}'; it has {', '.join(nodes)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nodes that only training or evaluation has
        network = create_feature_extractor(
            architecture.build(1), {nodes[name]: name for name in wanted}
        )
    replace_batch_norms(network, [name for name, _ in network.named_modules()], norm)
    return network


def trace_last_stage(arch: str, norm: str) -> DualGraphModule:
    """Return what a registered network computes from res4 to res5, randomly initialised.

    It takes res4 (N, C4, H, W) and returns res5 (N, C5, H / 2, W / 2). Its tensors have the names
    that they have in the whole network.

    Raises:
        UserError: unknown architecture or norm, or a res5 that needs more than res4.
    """
    before, last = (stage.name for stage in get_architecture(arch).stages[-2:])
    network = _trace(arch, [before, last], norm)
    for graph in (network.train_graph, network.eval_graph):
        (image,) = graph.find_nodes(op="placeholder")
        (output,) = graph.find_nodes(op="output")
        stages = output.args[0]
        with graph.inserting_before(image):
            stages[before].replace_all_uses_with(graph.placeholder(before))
        output.args = (stages[last],)
        graph.eliminate_dead_code()
        if image.users:
            raise UserError(f"{last} of {arch} needs more than {before}; use FPN, not C4")
        graph.erase_node(image)
    # a copy of the modules that the graphs still call
    return DualGraphModule(network, network.train_graph, network.eval_graph)
