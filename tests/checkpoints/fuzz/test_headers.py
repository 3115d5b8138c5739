"""Headers of safetensors files that lie."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from .cases import Case, fuzz
from .networks import STATE
from .parts import HEADER, HEADER_LENGTH, VALUES, safetensors_file


@st.composite
def headers(draw: Any) -> Case:
    header = json.loads(json.dumps(HEADER))
    name = draw(st.sampled_from(sorted(STATE)))
    entry = header[name]
    odd: st.SearchStrategy[Any] = st.sampled_from(
        [-1, 0, 1, 2**31, 2**63, 2**64, 1.5, "1", None, [], {}]
    )
    how = draw(
        st.sampled_from(
            ["offsets", "shape", "dtype", "name", "metadata", "length", "text", "entry"]
        )
    )
    what: Any = None
    length = None
    if how == "offsets":
        what = [draw(st.one_of(odd, st.integers(0, len(VALUES)))) for _ in range(2)]
        entry["data_offsets"] = what
    elif how == "shape":
        what = entry["shape"] = draw(st.lists(st.one_of(odd, st.integers(0, 40)), max_size=70))
    elif how == "dtype":
        what = entry["dtype"] = draw(
            st.sampled_from(["F64", "F16", "BF16", "I32", "BOOL", "F8_E5M2", "F4", "Q7", "", 3])
        )
    elif how == "name":
        what = draw(st.text(max_size=700))
        header[what] = header.pop(name)
    elif how == "metadata":
        what = draw(st.dictionaries(st.text(), st.one_of(st.text(), odd), max_size=3))
        header["__metadata__"] = what
    elif how == "length":
        what = length = draw(
            st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2 * HEADER_LENGTH))
        )
    elif how == "entry":
        what = header[name] = draw(st.one_of(odd, st.just(HEADER)))
    raw = json.dumps(header)
    if how == "text":
        at, new = draw(st.integers(0, len(raw))), draw(st.text(max_size=9))
        raw, what = raw[:at] + new + raw[at + draw(st.integers(0, 9)) :], (at, new)
    return Case("safetensors", f"{how} {name} {what}", safetensors_file(raw, length=length))


def test_headers_that_lie(attempt: Any) -> None:
    fuzz("headers", headers(), lambda case: attempt(case.data))
