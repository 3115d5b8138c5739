"""tools/zoo.py, run as people run it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision import transforms

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.classification.class_order import imagenet_synsets
from robust_det.classification.measure import (
    Measurement,
    open_images,
    wilson_interval,
)
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import Classifier, ModelCard, build_classifier

TINY, FILE = "tiny_l2_eps0.5", "tiny_l2_eps0.5.ckpt"
SIZE, RESIZE = 48, 55
COLOURS = ("blue", "green", "red")


def refusal(done: Any) -> Any:
    """The one line that a tool printed."""
    assert done.returncode == 2 and done.stdout == "", done
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def rows(text: Any) -> dict[Any, Any]:
    """The table as {name: cells}; cells are two spaces apart."""
    table = text.partition("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line.strip()) for line in table)}


def test_list(place: Callable[..., Any], tiny_bytes: bytes, backbone_file: Path) -> None:
    here = place(None, ROBUST_DET_BACKBONES="own")
    own, cached = here.folder / "own", here.folder / "cache/backbones"
    for folder in (own, cached, here.downloads):
        folder.mkdir(parents=True)
    shutil.copy(backbone_file, own / "mine.pth")
    (own / "broken.pth").write_bytes(b"no")
    torch.save(build_classifier("resnet10_narrow", 4).body.state_dict(), here.folder / "state.pth")
    convert(here.folder / "state.pth", own / "converted.pth", norm="linf", eps=4 / 255)
    shutil.copy(backbone_file, own / f"{TINY}.pth")
    shutil.copy(backbone_file, own / "resnet50_l2_eps1.pth")
    shutil.copy(backbone_file, cached / "resnet18_linf_eps4.pth")
    (cached / "resnet18_linf_eps8.pth").touch()
    (here.downloads / "resnet18_l2_eps3.ckpt").touch()

    done = here.tool("list")
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert len(table) == 67 + 3 + 1 + 3
    # what an own file is, its card says, whatever was published under its name
    assert table[TINY] == ["resnet10_narrow", "l2", "0.5", "-", "trained here"]
    assert table["resnet50_l2_eps1"] == ["resnet10_narrow", "l2", "0.5", "-", "yours, misnamed"]
    assert table["resnet18_linf_eps8"][-1] == "cached, unreadable"
    assert table["resnet18_linf_eps4"] == ["resnet18", "linf", "4/255", "52.49", "cached"]
    assert table["resnet18_l2_eps3"] == ["resnet18", "l2", "3", "53.12", "downloaded"]
    assert table["resnet50_l2_eps3"] == ["resnet50", "l2", "3", "62.83", "-"]
    assert table["resnet50_linf_eps0.5"][2] == "0.5/255"
    assert table["wide_resnet50_4_l2_eps0"][3] == "77.91"
    assert table["resnet50_stylized"] == ["resnet50", "-", "0", "-", "-"]
    assert table["mine"] == ["resnet10_narrow", "l2", "0.5", "-", "trained here"]
    assert table["converted"] == ["resnet10_narrow", "linf", "4/255", "-", "yours"]
    assert table["broken"][-1] == "yours, unreadable"
    assert str(here.folder / "cache") in done.stdout and "own" in done.stdout

    done = here.tool("list", "--arch", "resnet18", "--norm", "linf", "--markdown")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 + 5 and all(line.startswith("|") for line in lines)
    assert "no model has" in refusal(here.tool("list", "--arch", "resnet19"))


def test_fetch_several(hub: Any, place: Callable[..., Any]) -> None:
    here = place(hub)
    done = here.tool("fetch", "resnet50_l2_eps3", TINY)
    assert done.returncode == 2
    # one failure does not stop the others
    assert f"{TINY}: " in done.stdout and "resnet50_l2_eps3: cannot download" in done.stdout
    assert done.stderr == "error: 1 of 2 could not be had: resnet50_l2_eps3\n"

    done = here.tool("fetch", "--all", "--arch", "resnet10_narrow")
    assert done.returncode == 0 and done.stdout == f"{TINY}: {here.converted}\n", done

    own = here.folder / "output/backbones" / f"{TINY}.pth"
    own.parent.mkdir(parents=True)
    shutil.copy(here.converted, own)
    done = here.tool("fetch", TINY)
    assert f"output/backbones/{TINY}.pth is yours, and comes first" in done.stdout


@pytest.mark.parametrize(
    "argv, message",
    [
        (["fetch", "robust://resnet50_l2_eps33"], "did you mean 'resnet50_l2_eps3'"),
        (["fetch"], "either names or --all"),
        (["fetch", "--all", TINY], "either names or --all"),
        (["fetch", "--all", "--arch", "resnet19"], "no model has"),
        (["fetch", "--norm", "l1", TINY], "--norm"),
        (["verify", TINY], "--data"),
        (["verify", TINY, "--data", "nowhere"], "no folder nowhere"),
        (["verify", TINY, "--data", ".", "--limit", "0"], "--limit"),
        (["verify", TINY, "--data", ".", "--batch-size", "many"], "invalid int value: 'many'"),
        (["verify", "tiny_l2_eps0.6", "--data", "."], f"did you mean '{TINY}'"),
        (["remove", TINY], "invalid choice: 'remove'"),
        ([], "COMMAND"),
    ],
)
def test_mistakes_are_one_line(argv: Any, message: str, place: Callable[..., Any]) -> None:
    assert message in refusal(place(None).tool(*argv))


def test_debug_may_come_last(place: Callable[..., Any]) -> None:
    done = place(None).tool("fetch", "nothing", "--debug")
    assert done.returncode == 2 and "Traceback" in done.stderr


@pytest.fixture
def three_colours(place: Callable[..., Any], randomise: Callable[..., Classifier]) -> Any:
    """A place with the original of TINY, a classifier of the image tree's classes."""
    here = place(None)
    torch.manual_seed(3)
    classifier = randomise(build_classifier("resnet10_narrow", 3))
    mean, std = (tuple(v.flatten().tolist()) for v in classifier.normalize.buffers())
    card = ModelCard("resnet10_narrow", "l2", 0.5, mean, std, SIZE, COLOURS)
    content = {"format": FORMAT, "meta": card.plain(), "model": classifier.body.state_dict()}
    save_checkpoint(here.downloads / FILE, content)
    return here, classifier


def accuracy(classifier: Any, folder: Any) -> Any:
    """Top-1 in percent, the plain way."""
    prepare = transforms.Compose(
        [transforms.Resize(RESIZE), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    )
    right, files = 0, sorted(folder.glob("*/*.*"))
    for path in files:
        with torch.no_grad():
            logits = classifier(prepare(Image.open(path).convert("RGB"))[None])
        right += COLOURS[logits.argmax()] == path.parent.name
    return 100 * right / len(files), len(files)


def test_verify_measures_and_compares(three_colours: Any, image_tree: Path) -> None:
    here, classifier = three_colours
    expected, count = accuracy(classifier, image_tree / "val")
    assert count == 15
    done = here.tool("verify", TINY, "--data", str(image_tree), "--workers", "0")
    assert done.returncode == 0, done
    # its original was placed by hand
    assert "its hash is not known here, so it could not be checked" in done.stdout
    low, high = (100 * v for v in wilson_interval(expected / 100, 15))
    assert f"measured top-1  {expected:.2f}  on 15 images" in done.stdout
    assert f"95% interval {low:.2f} to {high:.2f}" in done.stdout
    assert f"reported top-1  25.00  difference {expected - 25:+.2f}" in done.stdout

    exaggerated = "from dataclasses import replace\n" + (
        f"published.PUBLISHED[{TINY!r}] = replace(published.PUBLISHED[{TINY!r}], top1=99.9)\n"
    )
    tool = Path(__file__).parents[2] / "tools/zoo.py"
    code = f"{exaggerated}import runpy; runpy.run_path({str(tool)!r}, run_name='__main__')"
    done = here.run(code, "verify", TINY, "--data", str(image_tree), "--workers", "1")
    assert done.returncode == 1 and "more than 0.5 points outside" in done.stdout, done

    # a file that nobody reported on, a folder of class folders, and a sample of it
    argv = [str(here.converted), "--data", str(image_tree / "val"), "--limit", "6"]
    done = here.tool("verify", *argv, "--workers", "0")
    assert done.returncode == 0 and "nothing to compare with" in done.stdout, done
    assert "on 6 images" in done.stdout

    # nor on what one made oneself
    own = here.folder / "output/backbones" / f"{TINY}.pth"
    own.parent.mkdir(parents=True)
    here.converted.rename(own)
    done = here.tool("verify", TINY, "--data", str(image_tree), "--workers", "0")
    assert done.returncode == 1 and "difference" not in done.stdout, done
    assert f"25.00  of the published model; output/backbones/{TINY}.pth is yours" in done.stdout


def test_verify_on_some_of_the_classes(
    three_colours: Any, image_tree: Path, tmp_path: Path
) -> None:
    here, classifier = three_colours
    shutil.copytree(image_tree / "val", tmp_path / "data")
    shutil.rmtree(tmp_path / "data/blue")
    expected, count = accuracy(classifier, tmp_path / "data")
    assert count == 10
    done = here.tool("verify", TINY, "--data", "data", "--workers", "0")
    assert done.returncode == 1, done  # nothing was verified
    assert "10 images of data, 2 of 3 classes" in done.stdout
    assert f"measured top-1  {expected:.2f}  on 10 images" in done.stdout
    assert "25.00  on all 3 classes; not compared" in done.stdout

    (tmp_path / "data/red/00.png").write_bytes(b"no image")
    done = here.tool("verify", TINY, "--data", "data", "--workers", "0")
    assert done.returncode == 2, done
    assert done.stderr.splitlines()[-1].endswith("; repair or remove it")


def model_of(classes: Any = (), count: int = 3) -> Any:
    head = {"fc.weight": torch.zeros(count, 1), "fc.bias": torch.zeros(count)}
    return Model("resnet10_narrow", head, "", classes=classes)


def folders(image_tree: Any, root: Any, *names: Any) -> Any:
    """The image tree's three folders under other names."""
    for colour, name in zip(COLOURS, names, strict=True):
        shutil.copytree(image_tree / "val" / colour, root / name)
    return root


def classes_of(folder: Any, model: Any) -> Any:
    """The class of each folder's images, in the order of the folders."""
    return open_images(folder, model).targets.tolist()[::5]


def test_folders_are_found_among_the_classes_by_their_names(
    image_tree: Path, tmp_path: Path
) -> None:
    assert classes_of(image_tree, model_of()) == [0, 1, 2]
    wide = model_of(("violet", "red", "green", "blue"), 4)
    assert classes_of(image_tree, wide) == [3, 2, 1]
    with pytest.raises(UserError, match=r"val/red is no class .* class names, such as blue$"):
        open_images(image_tree, model_of(("blue", "green", "violet")))
    with pytest.raises(UserError, match="3 class folders, but the model has 4 classes"):
        open_images(image_tree, model_of((), 4))


def test_imagenets_classes_have_wordnet_ids_or_numbers(image_tree: Path, tmp_path: Path) -> None:
    wnids, imagenet = imagenet_synsets(), model_of((), 1000)
    assert len(set(wnids)) == 1000 and list(wnids) == sorted(wnids)
    assert (wnids[0], wnids[217], wnids[999]) == ("n01440764", "n02102040", "n15075141")
    named = folders(image_tree, tmp_path / "named", "n02102040", "n01440764", "n15075141")
    assert classes_of(named, imagenet) == [0, 217, 999]
    # sorted as text, 10 is before 2
    numbered = folders(image_tree, tmp_path / "numbered", "10", "2", "999")
    assert classes_of(numbered, imagenet) == [10, 2, 999]
    with pytest.raises(UserError, match=r"val/blue is no class .* n01440764, or 0 to 999"):
        open_images(image_tree, imagenet)
    numbered.joinpath("999").rename(numbered / "1000")
    with pytest.raises(UserError, match="numbered/10 is no class"):
        open_images(numbered, imagenet)


def test_a_sample_covers_every_class(image_tree: Path) -> None:
    images = open_images(image_tree, model_of(), limit=6)
    assert images.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert len({images.path(i) for i in range(6)}) == 6
    # the usual protocol for crops of 224 pixels
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    expected = prepare(Image.open(images.path(0)).convert("RGB"))
    assert torch.equal(images[(0, 0)][0], transforms.functional.pil_to_tensor(expected))


def test_the_interval() -> None:
    # Wilson's own figures, to the digits that textbooks print: 10 of 20, and none of 10
    assert wilson_interval(0.5, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    found = Measurement(60.0, 1000, 57.0, 63.0)
    assert found.agrees_with(56.5) and found.agrees_with(63.5)
    assert not found.agrees_with(56.4) and not found.agrees_with(63.6)
