"""A tiny classifier that tells the classes of ``image_tree`` apart, and the command on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.commands.main import run_command
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.models import ModelCard, build_classifier
from tests.support import tools

MEAN, STD = (0.4, 0.4, 0.4), (0.25, 0.25, 0.25)
CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, image_tree: Path) -> Path:
    """A file as pretraining writes it, of images of 32 px, L2 eps 0.5; its head is a ridge."""
    torch.manual_seed(0)
    classifier = build_classifier("resnet10_narrow", 3, MEAN, STD).eval()
    body = classifier.body
    data = ImageFolder(image_tree, "train", eval_transform(32, 32))
    pixels = torch.stack([data[(0, i)][0] for i in range(len(data))])  # type: ignore[index]
    head = body.fc
    body.fc = torch.nn.Identity()
    with torch.no_grad():
        x = torch.cat([classifier(pixels / 255), torch.ones(len(pixels), 1)], 1)
        wanted = 2 * torch.nn.functional.one_hot(torch.from_numpy(data.targets), 3).float() - 1
        ridge = torch.linalg.solve(x.T @ x + 1e-3 * torch.eye(x.shape[1]), x.T @ wanted)
        head.weight.copy_(ridge[:-1].T)
        head.bias.copy_(ridge[-1])
    body.fc = head
    path = tmp_path_factory.mktemp("evaluated") / "final.pth"
    card = ModelCard("resnet10_narrow", "l2", 0.5, MEAN, STD, 32, CLASSES)
    content = {"format": FORMAT, "meta": card.plain(), "model": body.state_dict()}
    save_checkpoint(path, content)
    return path


@pytest.fixture
def evaluate(
    trained: Path, image_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tools.Outcome]:
    """Run ``tools/evaluate.py`` on the trained file and the images, into ``out``, in this process.

    What is given comes last, and so replaces; without checks, unless asked for.
    """

    def run(
        *arguments: object, file: Path = trained, output: str = "out", resize: int | None = 32
    ) -> tools.Outcome:
        capsys.readouterr()
        argv = [file, "--data", image_tree, "--output", tmp_path / output]
        argv += ["--resize", resize] if resize else []
        argv += ["--device", "cpu", "--workers", 0, *arguments]
        code = run_command("evaluate", list(map(str, argv)))
        text = capsys.readouterr()
        bars, _, error = text.err.rpartition("error: ")
        return tools.Outcome(code, text.out, f"error: {error}" if code else bars)

    return run
