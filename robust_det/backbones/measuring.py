"""What the features of a traced network are, without computing their values."""

from __future__ import annotations

import contextlib
import io
import itertools

import torch
from torch import fx, nn
from torchvision.models.feature_extraction import DualGraphModule

from robust_det.core.errors import UserError, reason_of
from robust_det.models import get_architecture
from robust_det.models.stages import module_stages

__all__ = ["check_order", "stage_shapes", "takes_any_size"]


def check_order(arch: str, features: DualGraphModule) -> None:
    """Check that a stage is computed by its own modules and those of earlier stages alone.

    Which those are is told from the order in which a network defines them.

    Raises:
        UserError: one is not.
    """
    owners = module_stages(arch)
    order = ["stem", *(stage.name for stage in get_architecture(arch).stages)]
    (output,) = features.eval_graph.find_nodes(op="output")
    ends: dict[str, fx.Node] = output.args[0]
    before = {stage: _ancestors(end) for stage, end in ends.items()}
    for node in set[fx.Node]().union(*before.values()):
        if node.op not in ("call_module", "get_attr"):
            continue
        name = str(node.target)
        own = owners.get(name, owners.get(name.rpartition(".")[0], "head"))
        wrong = [
            stage
            for stage, nodes in before.items()
            if (node in nodes and own not in order[: order.index(stage) + 1])
            or (own == stage and node not in nodes)
        ]
        if wrong:
            raise UserError(
                f"the registry's entry of {arch}: '{name}' is defined in {own}, and {wrong[0]} is"
                " not computed so; it is no backbone"
            )


def _ancestors(end: fx.Node) -> set[fx.Node]:
    """Return the nodes that one is computed from, and itself."""
    found, todo = {end}, [end]
    while todo:
        new = set(todo.pop().all_input_nodes) - found
        found |= new
        todo += new
    return found


def stage_shapes(arch: str, body: nn.Module) -> dict[str, torch.Tensor]:
    """Return the stages of an image of 64 x 96 pixels, without values.

    Stages whose channels come last have another shape than any that is expected.

    Raises:
        UserError: the network cannot take such an image, or gives other than (N, C, H, W).
    """
    try:
        features = _run(body, 64, 96)
    except Exception as error:  # a network's own code may raise anything
        raise UserError(
            f"{arch} is no backbone: it cannot take images of 64 x 96 px ({reason_of(error)})",
            "it is a classifier, for evaluation and transfer",
        ) from error
    for name, stage in features.items():
        if not isinstance(stage, torch.Tensor) or stage.dim() != 4:
            raise UserError(f"{arch} is no backbone: its {name} is not (N, C, H, W)")
    return features


def takes_any_size(body: nn.Module) -> bool:
    """Whether a network takes images with sides that its strides do not divide."""
    try:
        _run(body, 75, 101)
    except Exception:
        return False  # such as for branches of different sizes
    return True


@torch.no_grad()
def _run(body: nn.Module, height: int, width: int) -> dict[str, torch.Tensor]:
    """Return the stages of an image of that size, without values."""
    tensors = itertools.chain(body.named_parameters(), body.named_buffers())
    without = {name: tensor.detach().to("meta") for name, tensor in tensors}
    image = torch.zeros(1, 3, height, width, device="meta")
    # a graph that fails prints where it did, beside raising
    with contextlib.redirect_stderr(io.StringIO()):
        stages: dict[str, torch.Tensor] = torch.func.functional_call(body, without, image)
    return stages
