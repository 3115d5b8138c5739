"""robust://NAME: where it is looked for, and what makes it."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from robust_det.core.config.reading import REPOSITORY, find_config, load_raw
from robust_det.core.errors import UserError
from robust_det.zoo.locate import locate_backbone
from robust_det.zoo.published import find_model


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a repository, an empty cache, and no network."""
    monkeypatch.delenv("ROBUST_DET_BACKBONES", raising=False)
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


def add_recipe(folder: Any, name: Any, **keys: Any) -> None:
    path = folder / "configs/somewhere" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(keys))


def test_the_default_folder_is_below_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "output/backbones").mkdir(parents=True)
    (tmp_path / "output/backbones/a_l2_eps0.5.pth").touch()
    found = locate_backbone("robust://a_l2_eps0.5")
    assert found.resolve() == tmp_path / "output/backbones/a_l2_eps0.5.pth"


def test_the_environment_names_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(tmp_path / "zoo"))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo/b.pth").touch()
    assert locate_backbone("robust://b") == tmp_path / "zoo/b.pth"


def commands(error: Any) -> list[Any]:
    """The two commands in an error, split as a shell does."""
    _, _, text = str(error).partition("make it with: ")
    return [shlex.split(part) for part in text.split(" && ")]


def test_a_missing_backbone_names_commands_that_fit_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(tmp_path / "my zoo"))
    add_recipe(tmp_path, "mine_eps1", OUTPUT_DIR="runs/number 7")
    with pytest.raises(UserError) as caught:
        locate_backbone("robust://mine_eps1")
    pretrain, convert = commands(caught.value)
    assert pretrain == ["robust-det", "pretrain", "--config", "mine_eps1.yaml"]
    assert convert[:2] == ["robust-det", "convert"]
    assert convert[2:] == ["runs/number 7/final.pth", str(tmp_path / "my zoo/mine_eps1.pth")]
    assert "\n" not in str(caught.value)


def detection_configs() -> list[Any]:
    return [
        path
        for path in sorted((REPOSITORY / "configs").rglob("*.yaml"))
        if str(load_raw(path).get("MODEL", {}).get("WEIGHTS", "")).startswith("robust://")
    ]


@pytest.mark.parametrize("path", detection_configs(), ids=lambda path: path.stem)
def test_the_backbone_of_every_detection_config_can_be_had(path: Any, tmp_path: Path) -> None:
    uri = load_raw(path)["MODEL"]["WEIGHTS"]
    name = uri.removeprefix("robust://")
    with pytest.raises(UserError) as caught:
        locate_backbone(uri)
    if not list((REPOSITORY / "configs").rglob(f"{name}.yaml")):
        # published, and not among the recipes
        assert find_model(name) is not None and find_model(name).file in str(caught.value)
        return
    pretrain, convert = commands(caught.value)
    recipe = find_config(pretrain[3])
    assert recipe.stem == name
    assert convert[2] == f"{load_raw(recipe)['OUTPUT_DIR']}/final.pth"
    assert Path(convert[3]) == Path("output/backbones") / f"{name}.pth"


def test_a_published_model_with_a_recipe_can_be_had_in_two_ways(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set") as caught:
        locate_backbone("robust://resnet50_l2_eps1.0")
    text = str(caught.value)
    assert "resnet50_l2_eps1.ckpt" in text and f"put it into {tmp_path}/cache/downloads;" in text
    assert commands(text)[1][-1] == "output/backbones/resnet50_l2_eps1.pth"
    assert "\n" not in text


def test_a_published_model_without_a_recipe_names_no_commands() -> None:
    with pytest.raises(UserError, match=r"put it into \S+/downloads$"):
        locate_backbone("robust://resnet18_linf_eps4")


def test_a_misspelt_published_model_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'resnet18_linf_eps4'"):
        locate_backbone("robust://resnet18_linv_eps4")


def test_a_detection_config_of_that_name_makes_no_backbone(tmp_path: Path) -> None:
    add_recipe(tmp_path, "detector", OUTPUT_DIR="x", DATASETS={"TRAIN": ["a"]})
    with pytest.raises(UserError, match="no recipe of that name"):
        locate_backbone("robust://detector")


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    add_recipe(tmp_path, "zebra_l2_eps1", OUTPUT_DIR="x")
    add_recipe(tmp_path, "broken", OUTPUT_DIR="x", _BASE_="nowhere.yaml")
    with pytest.raises(UserError, match="did you mean 'zebra_l2_eps1'"):
        locate_backbone("robust://zebra_l2_esp1")


@pytest.mark.parametrize(
    "uri",
    ["robust://", "robust://../secret", "robust://a/b", "robust://a\nb", "a\0b", "a" * 5000],
    ids=["nothing", "parent", "folder", "newline", "zero", "long"],
)
def test_a_path_is_not_a_name(uri: Any) -> None:
    with pytest.raises(UserError, match="not of the form robust://NAME") as caught:
        locate_backbone(uri)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
