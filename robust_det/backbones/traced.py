"""Any other network of torchvision as a Detectron2 backbone: one wrapper around its features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torchvision.models.feature_extraction import create_feature_extractor

from robust_det.backbones.norms import replace_batch_norms
from robust_det.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.stages import tensor_stages

__all__ = ["TracedBackbone"]


class TracedBackbone(Backbone):
    """The features of a registered network, as torchvision's feature extraction takes them.

    Args:
        arch: registry name.
        norm: replaces batch norms, as in ``MODEL.RESNETS.NORM``; layer norms stay.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``.
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
        architecture = get_architecture(arch)
        stages = {stage.name: stage for stage in architecture.stages}
        nodes = {"stem": architecture.stem, **{s.name: s.node for s in architecture.stages}}
        unknown = [name for name in out_features if name not in nodes]
        if unknown:
            raise UserError(f"{arch} has no stage '{unknown[0]}'; it has {', '.join(nodes)}")
        # the deepest stage is always built, so that every tensor of a file has its place
        last = architecture.stages[-1].name
        wanted = [*out_features, *([] if last in out_features else [last])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nodes that only training or evaluation has
            self.body = create_feature_extractor(
                architecture.build(1), {nodes[name]: name for name in wanted}
            )
        names = [name for name, _ in self.body.named_modules()]
        replace_batch_norms(self.body, names, norm)
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
        stages = tensor_stages(arch)
        own = dict(self.body.named_parameters())
        for name, stage in stages.items():
            if stage in frozen and name in own:
                own[name].requires_grad = False
        owners = {n.rpartition(".")[0] for n, stage in stages.items() if stage in frozen}
        replace_batch_norms(self.body, owners, "FrozenBN")

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
