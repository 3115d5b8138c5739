"""Well-formed files of contents that may be no network: here we know what has to come out."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from robust_det.models.spelling import COUNTER

from .cases import Case, fuzz
from .files import FORMATS, contents, written
from .networks import STATE
from .reading import REFUSED, same

FLOATS = [name for name, tensor in STATE.items() if tensor.is_floating_point()]
_PARTS = {name.partition(".")[0] for name in STATE}
WRAPPERS = ("state_dict", "model", "ema", "net", "module", "weights", "0")


@st.composite
def edited(draw: Any) -> Case:
    """Files that are well-formed, of contents that may be none."""
    change = draw(st.sampled_from([_dropped, _unrelated, _reshaped, _values, _dtypes, _nested]))
    kind = draw(st.sampled_from(FORMATS))
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    content, expected, what = change(draw, kind, state)
    if kind == "safetensors":
        content = {name: tensor.contiguous() for name, tensor in content.items()}
    elif change is not _nested and change is not _unrelated:
        content = contents(content)
    return Case(kind, f"{change.__name__} {what}", written(content, kind), expected)


def _dropped(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    names = draw(st.sets(st.sampled_from(list(state)), min_size=1, max_size=4))
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    if any(COUNTER not in name and not name.startswith("fc.") for name in names):
        return kept, REFUSED, names
    # half a head is none
    headless = any(name.startswith("fc.") for name in names)
    expected = {n: t for n, t in kept.items() if not (headless and n.startswith("fc."))}
    return kept, expected, names


def _unrelated(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    if kind == "safetensors":
        name = draw(st.text(max_size=30).filter(lambda n: n.partition(".")[0] not in _PARTS))
        return {**state, name: torch.ones(2)}, state, name
    content = contents(state)
    for key in draw(st.sets(st.sampled_from(sorted(content.keys() - {"state_dict"})))):
        del content[key]
    odd = st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
    names = st.text().filter(lambda key: key not in ("format", "robust_det"))
    content.update(draw(st.dictionaries(names, odd, max_size=3)))
    content["state_dict"] = state
    return content, state, content.keys()


def _reshaped(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    name = draw(st.sampled_from(list(state)))
    tensor = state[name]
    changes = {
        "flat": tensor.flatten(),
        "scalar": tensor.flatten()[0],
        "empty": tensor.flatten()[:0],
        "longer": torch.cat([tensor, tensor]) if tensor.dim() else tensor.expand(2),
        "deeper": tensor[None],
        "turned": tensor.transpose(0, -1) if tensor.dim() else tensor,
    }
    how = draw(st.sampled_from(sorted(changes)))
    state[name] = changes[how].clone(memory_format=torch.contiguous_format)
    if state[name].shape == tensor.shape:
        return state, STATE, (name, how)
    if name.startswith("fc."):
        return state, {n: t for n, t in STATE.items() if not n.startswith("fc.")}, (name, how)
    return state, None if COUNTER in name else REFUSED, (name, how)


def _values(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    name = draw(st.sampled_from(FLOATS))
    at = draw(st.integers(0, state[name].numel() - 1))
    value = draw(st.sampled_from([float("nan"), float("inf"), -float("inf")]))
    dtype = draw(st.sampled_from([torch.float32, torch.float16, torch.float64]))
    state[name].view(-1)[at] = value
    state[name] = state[name].to(dtype)
    return state, "are NaN or Inf", (name, at, value)


def _dtypes(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    good = [torch.float16, torch.float64]
    if kind != "pickle":
        good.append(torch.bfloat16)
    bad = [torch.int8, torch.uint8, torch.int64, torch.bool]
    if kind != "safetensors":
        bad.append(torch.complex64)
    dtype = draw(st.sampled_from([*good, *good, *bad]))
    names = draw(st.sets(st.sampled_from(FLOATS), min_size=1))
    for name in names:
        state[name] = state[name].to(dtype)
    if dtype in bad:
        return state, "which are no weights", (dtype, names)
    return state, {n: t.float() if n in names else t for n, t in state.items()}, (dtype, names)


def _nested(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    prefix = draw(st.sampled_from(["", "module.", "model.", "module.model.", "a.b.c.d.e.f.g."]))
    content: Any = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    if kind == "safetensors":
        return content, STATE, prefix
    ways = draw(
        st.lists(st.sampled_from([*WRAPPERS, *WRAPPERS, 7, "list", "tuple"]), max_size=40)
        | st.lists(st.sampled_from(WRAPPERS), max_size=8)
    )
    for way in ways:
        beside = {"epoch": 1, "inner": {"x": [1, 2]}}
        if way == "list":
            content = [content]
        elif way == "tuple":
            content = (content, 1)
        else:
            content = {**beside, way: content}
    named = 7 not in ways
    return content, STATE if named and len(ways) <= 6 else REFUSED, (prefix, ways)


def test_edited_contents(attempt: Any) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        if case.expected is None:
            return
        if isinstance(case.expected, str):
            assert isinstance(result, str), "it was read"
            assert case.expected == REFUSED or case.expected in result
        else:
            assert same(result, case.expected), result

    fuzz("contents", edited(), check)
