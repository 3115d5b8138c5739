"""Why tensors are not what a network computes with, where there is something to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from robust_det.checkpoints.reading import LazyTensor, Placeholder

__all__ = ["cause_of_names", "cause_of_objects", "listed"]

_QUANTISED = "give the weights before they were quantised"
# by what ends a tensor's name: what that is of, and what to do
_NAMES = (
    (
        r"conv1_w|res2_0_branch2a_w",
        "holds Caffe2 names ({}); those networks stride in another convolution and take BGR images,"
        " so they are none of torchvision's",
        "use weights of torchvision",
    ),
    (
        r"fake_quant_enabled|(weight_fake_quant|activation_post_process)\.\w+",
        "is a network of quantisation-aware training ({})",
        _QUANTISED,
    ),
    (
        r"_packed_params(\._?\w+)*|qweight|qzeros|SCB|quant_state\.\w+|zero_point|weight_scale",
        "is a quantised network ({})",
        _QUANTISED,
    ),
    (
        r"_?flat_param(_\d+)?",
        "holds flat parameters ({}), each process's own part, as FSDP keeps them",
        "save it with FSDP's StateDictType.FULL_STATE_DICT",
    ),
    (
        r"_mean|_variance|StructuredToParameterName@@",
        "holds Paddle's names ({})",
        "rename them to torchvision's, and transpose the linear layer",
    ),
    (
        r"moving_mean|moving_variance|(?<=/)kernel",
        "holds names of TensorFlow or JAX ({}), whose convolutions have another order of sides",
        "convert it to torch first",
    ),
)
# the same of networks that are read where it is said which one they are
_ATTENTION = (
    r"cls_token|class_token|pos_embed\w*|position_embeddings?|relative_position_bias_table",
    "is a network of attention ({}), which is no backbone here",
    "give a convolutional network, or say --arch timm:NAME to evaluate or transfer a classifier of"
    " timm's",
)
# by the name of a class or function that stays a placeholder
_OBJECTS = (
    (
        r"torch\.distributed\..*(DTensor|Shard\w*)|torch\.distributed\._shard\..*",
        "holds tensors in parts ({}), each process's own, as FSDP and DTensor do",
        "gather them when saving: get_model_state_dict with StateDictOptions(full_state_dict=True)",
    ),
    (
        r"torch\.distributed\.checkpoint\..*",
        "is part of a checkpoint in parts ({}), of torch.distributed.checkpoint",
        "join its parts with python -m torch.distributed.checkpoint.format_utils dcp_to_torch"
        " FOLDER model.pth, and give that",
    ),
    (
        r"torch\._utils\._rebuild_meta_tensor_no_storage",
        "holds tensors without values, on the meta device ({})",
        "save it with the values",
    ),
    (
        r"torchao\..*|bitsandbytes\..*|torch(\.ao)?\.nn\.quantized\..*"
        r"|torch\.ao\.quantization\..*|torch\.jit\._pickle.*",
        "is a quantised network ({})",
        _QUANTISED,
    ),
)


def cause_of_names(
    tensors: Mapping[str, LazyTensor], unread: Mapping[str, Placeholder], arch: str | None
) -> tuple[str, str] | None:
    """Return why tensors are no network by their names, and what to do; None if nothing shows.

    Args:
        tensors: of one dictionary.
        unread: what else the file has by name and was not rebuilt.
        arch: which network was looked for, if the user said.
    """
    for pattern, what, advice in _NAMES if arch and ":" in arch else (*_NAMES, _ATTENTION):
        ends = re.compile(rf"(^|[./])({pattern})(:0)?$")
        if found := [name for name in (*tensors, *unread) if ends.search(name)]:
            return what.format(found[0]), advice
    pruned = [n for n in tensors if n.endswith("_orig") and f"{n[:-4]}mask" in tensors]
    if pruned:
        return (
            f"is pruned ({pruned[0]} and its mask)",
            "make that permanent with torch.nn.utils.prune.remove and save again",
        )
    empty = [name for name, tensor in tensors.items() if 0 in tensor.shape]
    if 4 * len(empty) > len(tensors):
        return (
            f"holds empty tensors ({listed(empty)}), as DeepSpeed's ZeRO-3 leaves them in the file"
            " of one process",
            "join the parts with the zero_to_fp32.py that lies beside them, and give what it"
            " writes; of FSDP, save the full state dict",
        )
    if unread and (cause := cause_of_objects(value.name for value in unread.values())):
        return cause
    odd = [n for n, value in unread.items() if value.name.startswith("torch._utils._rebuild")]
    if odd:
        return (
            f"holds {listed(odd)} as {unread[odd[0]].name}, which is not rebuilt",
            "save plain tensors, neither quantised nor sparse",
        )
    return None


def cause_of_objects(names: Iterable[str]) -> tuple[str, str] | None:
    """Return why objects of such classes are no tensors, and what to do; None if nothing shows."""
    names = list(names)
    for pattern, what, advice in _OBJECTS:
        if found := [name for name in names if re.fullmatch(pattern, name)]:
            return what.format(found[0]), advice
    return None


def listed(names: Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
