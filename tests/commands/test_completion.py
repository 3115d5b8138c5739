"""Completion in a real bash, and that zsh's script can be made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

# what bash does when TAB is pressed at the end of the words
PRESS_TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
spec=$(complete -p robust-det) || exit 1
function=${spec##*-F }
${function%% *} robust-det "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def press_tab(command: Any, tmp_path: Path) -> Any:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    script = tmp_path / "completion.bash"
    script.write_text(command("completion", "bash").out)
    (tmp_path / "mine.yaml").write_text("SEED: 1\n")

    def run(*words: str) -> set[str]:
        arguments = ["bash", "--norc", "-c", PRESS_TAB, "bash", str(script), "robust-det", *words]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert not done.stderr
        return set(done.stdout.split())

    return run


def test_bash_completes_commands_options_configs_and_keys(press_tab: Any) -> None:
    assert press_tab("tr") == {"train", "transfer", "transfer-data"}
    assert press_tab("train", "--c") == {"--config"}
    assert press_tab("train", "--config", "robust_r50_eps1_") == {
        "robust_r50_eps1_coco.yaml",
        "robust_r50_eps1_coco_mask.yaml",
        "robust_r50_eps1_voc.yaml",
    }
    assert press_tab("train", "--config", "min") == {"mine.yaml"}  # a file
    assert press_tab("train", "--config", "mine.yaml", "SOLVER.BASE_") == {"SOLVER.BASE_LR"}
    line = ("pretrain", "--config", "mine.yaml", "SEED", "1", "--resume", "OPTIM.MOM")
    assert press_tab(*line) == {"OPTIM.MOMENTUM"}
    assert press_tab("zoo", "v") == {"verify"}
    assert press_tab("zoo", "fetch", "resnet18_l2_eps0.5", "vgg16") == {
        "vgg16_bn_l2_eps0",
        "vgg16_bn_l2_eps3",
    }
    assert press_tab("configs", "copy", "base_im") == {"base_imagenet.yaml"}


def test_zsh(command: Any, tmp_path: Path) -> None:
    done = command("completion", "zsh")
    assert done.code == 0 and done.out.startswith("#compdef robust-det\n")
    assert {"robust_r50_eps1_voc.yaml", "SOLVER.BASE_LR", "resnet18_l2_eps3"} < set(
        done.out.split()
    )
    if shutil.which("zsh"):
        script = tmp_path / "_robust-det"
        script.write_text(done.out)
        subprocess.run(["zsh", "-n", str(script)], check=True)


def test_an_unknown_shell_is_refused(command: Any) -> None:
    done = command("completion", "csh")
    assert done.code == 2 and "invalid choice: 'csh'" in done.err and done.err.count("\n") == 1
