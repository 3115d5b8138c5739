"""One line of a sweep, and the runs it stands for."""

from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.launch.notation import Entry, parse_sweep


def names(*lines: Any) -> list[Any]:
    return [entry.name for entry in parse_sweep(lines, "runs.txt")]


def test_braces_stand_for_all_combinations() -> None:
    assert names("--config r50_eps{0,0.25}_voc.yaml SOLVER.BASE_LR {0.01,0.02} SEED {1..2}") == [
        f"r50_eps{eps}_voc_base_lr{lr}_seed{seed}"
        for eps in ("0", "0.25")
        for lr in ("0.01", "0.02")
        for seed in (1, 2)
    ]


def test_a_line_is_read_as_a_shell_would() -> None:
    (entry,) = parse_sweep(
        ["", "# a comment", "SEED 3 --config a.yaml INPUT.CROP.SIZE '[0.9, 0.9]'  # why"],
        "runs.txt",
    )
    assert entry == Entry("a.yaml", None, (("SEED", "3"), ("INPUT.CROP.SIZE", "[0.9, 0.9]")))
    quoted = parse_sweep(["""--config a.yaml K "{'a': 1, 'b': 2}" """], "runs.txt")
    assert quoted[0].overrides == (("K", "{'a': 1, 'b': 2}"),)


def test_names_depend_on_their_own_run_alone() -> None:
    alone = names("--config a.yaml --backbone dir/b.pth SEED 0")
    assert alone == ["a_b_seed0"]
    assert names("--config a.yaml --backbone dir/b.pth SEED {0..2}")[:1] == alone
    # a name is that of a folder, whatever the value
    (name,) = names("--config a.yaml X.PATH ../data/x.json Y.LONG " + "y" * 300)
    assert name.startswith("a_path..-data-x.json_longyyy") and len(name) == 120
    other = names("--config a.yaml X.PATH ../data/x.json Y.LONG " + "y" * 301)
    assert other != [name]


def test_seeds_of_a_run_are_one_group() -> None:
    entries = parse_sweep(["--config a.yaml SEED {0..2} SOLVER.BASE_LR {0.1,0.2}"], "runs.txt")
    assert {entry.group for entry in entries} == {"a_base_lr0.1", "a_base_lr0.2"}


def test_ranges_go_either_way() -> None:
    assert names("--config a.yaml K {2..-1}") == ["a_k2", "a_k1", "a_k0", "a_k-1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "runs.txt lists no runs; write --config NAME.yaml"),
        (["# nothing"], "lists no runs"),
        (["SEED 1"], "line 1: the following arguments are required: --config"),
        (["--config a.yaml", "--config a.yaml SEED"], "line 2: 'SEED' has no value"),
        (["--config a.yaml --resume"], "line 1: unrecognized arguments: --resume"),
        (["--config a.yaml SEED {1,2"], "the braces of '{1,2' do not match"),
        (["--config a.yaml K {{1,2},3}"], "do not match"),
        (["--config a.yaml K {1}"], "write {a,b} or {1..3}, not {1}"),
        (["--config a.yaml K {1,}"], "not {1,}"),
        (["--config 'a.yaml"], "line 1: no closing quotation"),
        (["--config a.yaml SEED {0..1}", "--config a.yaml SEED 1"], "line 2: the run a_seed1 is"),
        (["--config a.yaml OUTPUT_DIR out"], "leave OUTPUT_DIR out"),
        (["--config a.yaml --mode full-network"], "line 1: unrecognized arguments: --mode"),
        (["transfer --config a.yaml --resume"], "line 1: unrecognized arguments: --resume"),
        (["transfer --backbone b.pth"], "line 1: nothing says which images"),
        (["transfer --config a.yaml --mode x TRANSFER.MODE y"], "--mode and TRANSFER.MODE say"),
        (["--config a.yaml --backbone none/*.pth"], "no file matches --backbone none/*.pth"),
        (["--config a.yaml SEED {0..10000000}"], "at most 10000 runs"),
        (["--config a.yaml " + "K{1..99} {1..99} " * 2], "at most 10000"),
    ],
)
def test_what_cannot_be_read_is_one_line(lines: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_sweep(lines, "runs.txt")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_line_may_be_of_transfers() -> None:
    line = (
        "transfer --config dtd.yaml --backbone b_eps{0,1}.pth --mode {fixed-feature,full-network}"
    )
    entries = parse_sweep([f"{line} SEED {{0..2}}", "--config a.yaml"], "runs.txt")
    assert [entry.job for entry in entries] == ["transfer"] * 12 + ["train"]
    mode = ("TRANSFER.MODE", "full-network")
    assert entries[-2] == Entry("dtd.yaml", "b_eps1.pth", (mode, ("SEED", "2")), "transfer")
    assert entries[-2].name == "dtd_b_eps1_modefull-network_seed2"
    assert entries[-2].group == "dtd_b_eps1_modefull-network"


def test_a_glob_stands_for_the_backbones_that_it_matches(tmp_path: Path) -> None:
    for name in ("eps1", "eps0", "eps3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "final.pth").touch()
    found = parse_sweep([f"transfer --config a.yaml --backbone {tmp_path}/eps[01]/*.pth"], "runs")
    assert [entry.backbone for entry in found] == [f"{tmp_path}/eps{e}/final.pth" for e in (0, 1)]
    # pretraining calls them all final.pth
    assert [entry.name for entry in found] == ["a_eps0", "a_eps1"]
    (first, *_) = parse_sweep([f"transfer --config a --backbone {tmp_path}/eps{{3,1}}/f*"], "runs")
    assert first.backbone == f"{tmp_path}/eps3/final.pth"
    quoted = parse_sweep(["--config a.yaml --backbone '[ab]*.pth'"], "runs.txt")
    assert quoted[0].backbone == "[ab]*.pth"


def test_a_transfer_needs_a_config_or_a_folder_of_images() -> None:
    [entry] = parse_sweep(["transfer --data images --backbone b.pth SEED 1"], "runs.txt")
    assert entry.config == "base_transfer.yaml"
    assert entry.overrides == (("DATA.ROOT", "images"), ("SEED", "1"))
    for line, message in (
        ("transfer --backbone b.pth", "nothing says which images"),
        ("transfer --data a --backbone b.pth DATA.ROOT c", "--data and DATA.ROOT say the same"),
        ("--data a --backbone b.pth", "--config"),
    ):
        with pytest.raises(UserError, match=message):
            parse_sweep([line], "runs.txt")
