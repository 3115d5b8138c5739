"""Fast parsing gives what the standard library gives, and refuses what that refuses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.data.detection.annotation_file import Entries, read_coco, read_json

TEXTS = [
    '{"a": [1, -0, 1.5, 1e5, -0.0, 123456789012345678901234567890, true, null, "\\u00e9"]}',
    '{"a": 1, "a": 2}',
    "[NaN, Infinity, -Infinity]",
    "[1e400, 0.1000000000000000055511151231257827, 5e-324]",
    '["\\ud800"]',
    "\ufeff[1]",
    "[1,]",
    "[01]",
    "{",
    "",
    '["\x01"]',
    "[" * 100_000,
]


def outcome(read: Any) -> Any:
    try:
        return repr(read())
    except (ValueError, RecursionError) as error:
        return type(error).__name__


@pytest.mark.parametrize("text", TEXTS)
def test_as_the_standard_library(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content in (text.encode(), text.encode() + b"\xff", text.encode("utf-16")):
        path.write_bytes(content)
        assert outcome(lambda: read_json(path)[0]) == outcome(lambda c=content: json.loads(c))


def test_the_hash_is_of_what_was_parsed(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[1]")
    assert read_json(path) == ([1], hashlib.sha256(b"[1]").hexdigest())


@pytest.mark.parametrize("number", ["1e400", "NaN", "7"])
@pytest.mark.parametrize("name", ["plain", "é", "\\ud800"])
def test_entries_are_those_of_the_document(number: Any, name: Any, tmp_path: Path) -> None:
    text = (
        f'{{"info": {{}}, "images": [{{"file_name": "{name}", "width": {number}}}, 5],'
        f' "annotations": [[{number}]], "categories": [{{"id": 1}}]}}'
    )
    path = tmp_path / "file.json"
    path.write_text(text)
    document, _ = read_coco(path)
    for key in ("images", "annotations", "categories"):
        assert repr(list(document[key])) == repr(json.loads(text)[key])
    plain = number != "NaN" and name != "\\ud800"
    assert isinstance(document["annotations"], Entries) == plain


def test_what_is_no_coco_is_given_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content in ("[1]", '{"images": 5, "annotations": [], "categories": []}'):
        path.write_text(content)
        assert read_coco(path)[0] == json.loads(content)
    path.write_bytes(b'{"images": ["\xff"], "annotations": [], "categories": []}')
    with pytest.raises(UnicodeDecodeError):
        read_coco(path)
