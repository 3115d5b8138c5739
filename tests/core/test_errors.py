"""Errors carry what they say in fields, through files' readers and through processes."""

from __future__ import annotations

import pickle

import pytest

from robust_det.core.errors import FileError, UserError, naming, one_line, reason_of


def test_the_message_is_the_problem_and_the_advice_on_one_line() -> None:
    error = UserError("wrong\nthing", "mend it")
    assert (error.problem, error.advice) == ("wrong\nthing", "mend it")
    assert str(error) == "wrong thing; mend it" and str(UserError("wrong")) == "wrong"


def test_what_could_command_a_terminal_is_not_said() -> None:
    assert str(UserError("no '\x1b[2Jx'")) == "no '?[2Jx'"
    assert len(str(UserError("x" * 5000, "mend it"))) < 900


def test_the_innermost_name_of_a_file_stays() -> None:
    with pytest.raises(FileError) as caught, naming("outer.pth"), naming("inner.pth"):
        raise FileError("holds nothing", "give another one")
    assert caught.value.source == "inner.pth"
    assert str(caught.value) == "inner.pth holds nothing; give another one"
    with pytest.raises(UserError, match=r"^no folder$"), naming("outer.pth"):
        raise UserError("no folder")


@pytest.mark.parametrize(
    "error", [UserError("a", "b"), UserError("a"), FileError("a", "b", "c.pth"), FileError("a")]
)
def test_fields_survive_a_process(error: UserError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error) and vars(back) == vars(error) and str(back) == str(error)


def test_a_reason_is_one_line_and_never_empty() -> None:
    assert reason_of(OSError("a\n  b")) == "a b"
    assert reason_of(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert one_line("a\x00b") == "a?b"
