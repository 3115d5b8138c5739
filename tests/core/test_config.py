from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_det import __version__
from robust_det.attacks import PGD
from robust_det.classification.attack_settings import eval_attack, train_attack
from robust_det.classification.settings import load_config
from robust_det.core.config.reading import (
    CfgNode,
    Layer,
    config_differences,
    find_config,
    flatten,
    load_raw,
    merge_config,
    overrides_to_dict,
    parse_number,
    read_layers,
    to_dict,
    written_by,
)
from robust_det.core.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"


def defaults() -> CfgNode:
    cfg = CfgNode({"A": {"EPS": 0.0, "STEPS": 3, "FLAG": False, "NAME": "x"}, "LIST": [1.0, 2.0]})
    return cfg


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("pretrain/*.yaml")), ids=lambda p: p.stem)
def test_every_pretraining_recipe_loads(path: Path) -> None:
    cfg = load_config(path.name)
    if not path.stem.startswith("base_"):
        assert Path(cfg.OUTPUT_DIR) == Path("output/pretrain", path.stem)


@pytest.mark.parametrize("eps", [0, 0.5, 1, 3])
def test_the_papers_recipes(eps: float) -> None:
    cfg = load_config(f"resnet50_l2_eps{eps:g}.yaml")
    attack, test = train_attack(cfg), eval_attack(cfg)
    assert isinstance(attack, PGD)
    assert (cfg.MODEL.ARCH, attack.threat.norm, attack.threat.eps) == ("resnet50", "l2", eps)
    assert (attack.steps, attack.random_start) == (3, False)
    assert attack.step_size == pytest.approx(eps * 2 / 3)
    assert attack.best_iterate
    optim = cfg.OPTIM
    assert (cfg.TRAIN.EPOCHS, cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.ACCUMULATE) == (90, 512, 1)
    assert (optim.LR, optim.MOMENTUM, optim.WEIGHT_DECAY) == (0.1, 0.9, 1e-4)
    assert (optim.SCHEDULE, optim.STEP_EPOCHS, optim.GAMMA) == ("step", 30, 0.1)
    assert test.threat.eps == (eps or 0.5)


@pytest.mark.parametrize(
    "text, value",
    [("4/255", 4 / 255), (" 8 / 255 ", 8 / 255), ("-1/4", -0.25), ("1e-3", 0.001), (2, 2.0)],
)
def test_numbers_and_fractions(text: object, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["1/0", "4/255/2", "1+1", "__import__('os')", "", True, None, [1]])
def test_what_is_no_number(text: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_number(text)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_number(text), float)


def test_overrides_are_literals_or_strings() -> None:
    raw = overrides_to_dict(
        ["A.B", "1", "A.C", "4/255", "D", "true", "E", "[1, 2]", "F", "__import__('os')"]
    )
    assert raw == {
        "A": {"B": 1, "C": "4/255"},
        "D": True,
        "E": [1, 2],
        "F": "__import__('os')",
    }
    with pytest.raises(UserError, match=r"'A\.C' has no value"):
        overrides_to_dict(["A.B", "1", "A.C"])
    with pytest.raises(UserError, match="'A' was given a value before"):
        overrides_to_dict(["A", "1", "A.B", "2"])


def test_merging_brings_numbers_to_the_type_of_the_default() -> None:
    cfg = defaults()
    merge_config(cfg, {"A": {"EPS": "4/255", "STEPS": 5}, "LIST": ["1/2", 1]})
    assert (cfg.A.EPS, cfg.A.STEPS, cfg.LIST) == (4 / 255, 5, [0.5, 1.0])
    assert all(isinstance(item, float) for item in cfg.LIST)


@pytest.mark.parametrize(
    "raw, message",
    [
        ({"A": {"EPSS": 1}}, "unknown config key 'A.EPSS'; did you mean 'A.EPS'"),
        ({"AA": {"STEPS": 1}}, "unknown config key 'AA.STEPS'; did you mean 'A.STEPS'"),
        ({"a": {"eps": 1}}, "unknown config key 'a.eps'; did you mean 'A.EPS'"),
        ({"A": 3}, "'A' is a section"),
        ({"A": {"STEPS": 2.5}}, "'A.STEPS' needs a int, not 2.5"),
        ({"A": {"STEPS": True}}, "'A.STEPS' needs a int"),
        ({"A": {"FLAG": 1}}, "'A.FLAG' needs a bool"),
        ({"A": {"EPS": "inf"}}, "'A.EPS' needs a number"),
        ({"A": {"EPS": 10**400}}, "'A.EPS' needs a number"),
        ({"LIST": ["a"]}, "'LIST' needs a number"),
    ],
)
def test_what_does_not_fit_is_named(raw: dict[str, object], message: str) -> None:
    cfg = defaults()
    with pytest.raises(UserError) as caught:
        merge_config(cfg, raw)
    assert message in str(caught.value)
    assert cfg == defaults()


def test_bases_are_overlaid(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.yaml").write_text("A: {X: 1, Y: 1}\nB: 1\n")
    (tmp_path / "two.yaml").write_text("_BASE_: one.yaml\nA: {Y: 2}\nC: 2\n")
    (tmp_path / "deep" / "three.yaml").write_text("_BASE_: ../two.yaml\nA: {Z: 3}\nC: 3\n")
    assert load_raw(tmp_path / "deep" / "three.yaml") == {
        "A": {"X": 1, "Y": 2, "Z": 3},
        "B": 1,
        "C": 3,
    }
    (tmp_path / "list.yaml").write_text("_BASE_: [two.yaml, other.yaml]\n")
    (tmp_path / "other.yaml").write_text("A: {X: 9}\n")
    assert load_raw(tmp_path / "list.yaml")["A"] == {"X": 9, "Y": 2}


def test_a_base_by_its_bare_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("_BASE_: base_imagenet.yaml\nSEED: 7\n")
    base = load_raw(CONFIGS / "pretrain" / "base_imagenet.yaml")
    assert load_raw(tmp_path / "mine.yaml") == {**base, "SEED": 7}
    (tmp_path / "base_imagenet.yaml").write_text("SEED: 3\n")  # beside it, so it comes first
    assert load_raw(tmp_path / "mine.yaml") == {"SEED": 7}


@pytest.mark.parametrize(
    "text, message",
    [
        ("_BASE_: x.yaml\n", "is its own _BASE_"),
        ("_BASE_: y.yaml\n", "is its own _BASE_"),
        (
            "_BASE_: gone.yaml\n",
            "config x.yaml needs its _BASE_: no config file 'gone.yaml' below ",
        ),
        ("_BASE_: deep/gone.yaml\n", "gone.yaml (the _BASE_ of "),
        ("_BASE_: 3\n", "_BASE_ needs a file name"),
        ("A: [1\n", "is not plain YAML"),
        ("A: !!python/object/apply:os.mkdir [marker]\n", "is not plain YAML"),
        ("- 1\n", "is not a mapping"),
        ("", "is not a mapping"),
        ("\x00", "is not plain YAML"),
    ],
)
def test_bad_files(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(text)
    (tmp_path / "y.yaml").write_text("_BASE_: x.yaml\n")
    with pytest.raises(UserError) as caught:
        load_raw("x.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


def test_bare_names_are_found_below_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_config("base_imagenet.yaml") == CONFIGS / "pretrain" / "base_imagenet.yaml"
    with pytest.raises(
        UserError, match=r"'base_imagnet.yaml' below .*configs; did you mean 'base_im"
    ):
        find_config("base_imagnet.yaml")
    for name in ("", "pretrain", "*.yaml"):  # nothing, a folder, a pattern
        with pytest.raises(UserError, match="no config file"):
            find_config(name)
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
        (tmp_path / "configs" / folder / "mine.yaml").write_text("A: 1\n")
    with pytest.raises(UserError, match="ambiguous"):
        find_config("mine.yaml")
    assert find_config("configs/a/mine.yaml") == Path("configs/a/mine.yaml")


def test_layers_keep_their_files_apart(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("A: {X: 1, Y: 1}\n")
    (tmp_path / "two.yaml").write_text("_BASE_: one.yaml\nA: {Y: 2}\n")
    one, two = str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")
    assert read_layers(two) == [Layer({"A": {"X": 1, "Y": 1}}, one), Layer({"A": {"Y": 2}}, two)]


@pytest.mark.parametrize(
    ("version", "advice"),
    [("99.1", "upgrade, or leave it out"), ("0.0.1", "leave it out"), ("mine", "leave it out")],
)
def test_an_unknown_key_of_another_version_says_so(
    version: str, advice: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"# written by robust_det {version}\nOPTIM:\n  LOOKAHEAD: 5\n")
    with pytest.raises(UserError) as caught:
        load_config(str(path))
    assert str(caught.value) == (
        f"unknown config key 'OPTIM.LOOKAHEAD'; robust_det {version} wrote this config, and this is"
        f" {__version__}: {advice}"
    )
    path.write_text(f"# written by robust_det {version}\nOPTIM: {{LR: 0.5}}\n")
    assert load_config(str(path)).OPTIM.LR == 0.5  # what is known is read


def test_what_is_written_says_its_version(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"{written_by()}SEED: 1\n")
    assert read_layers(path) == [Layer({"SEED": 1}, str(path), __version__)]


def test_differences_and_flattening() -> None:
    a, b = defaults(), defaults()
    b.A.EPS, b.LIST = 0.5, [1.0, 3.0]
    assert config_differences(a, b) == ["A.EPS: 0.0 -> 0.5", "LIST: [1.0, 2.0] -> [1.0, 3.0]"]
    assert config_differences(a, b, ignore=["LIST"]) == ["A.EPS: 0.0 -> 0.5"]
    assert flatten(to_dict(a))["A.STEPS"] == 3
    assert to_dict({"A": (1, (2, 3))}) == {"A": [1, [2, 3]]}
