"""Fetching from a server on this machine that speaks as the hub does, in real processes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.backbone_file import read_card

TINY, FILE = "tiny_l2_eps0.5", "tiny_l2_eps0.5.ckpt"
LOCATE = (
    "from robust_det.zoo.locate import locate_backbone\n"
    "from robust_det.core.cli import setup_logging\n"
    "setup_logging()\n"
    f"print(locate_backbone('robust://{TINY}'))\n"
)


def the_error(done: Any) -> Any:
    """The one line of a tool that failed, after what the client said of its attempts."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_model_is_downloaded_converted_and_cached(
    hub: Any, place: Callable[..., Any], tiny_bytes: bytes
) -> None:
    here = place(hub)
    done = here.run(LOCATE)
    assert done.stdout.splitlines()[-1] == str(here.converted), done.stderr
    assert "largest difference of each stage, random / real images: res2 " in done.stdout
    assert here.left() == [here.converted.name]  # the original is gone
    card = read_card(here.converted)
    assert (card.arch, card.norm, card.eps) == ("resnet10_narrow", "l2", 0.5)
    assert card.source_sha256 == hashlib.sha256(tiny_bytes).hexdigest()
    assert hub.bodies() == [""]

    again = place(None, HF_HUB_OFFLINE="1").run(LOCATE)
    assert again.stdout.splitlines() == [str(here.converted)]
    assert len(hub.bodies()) == 1


def test_two_processes_do_the_work_once(hub: Any, place: Callable[..., Any]) -> None:
    here = place(hub)
    hub.gate.clear()
    first = here.start(LOCATE)
    assert hub.asked.wait(120)  # it holds the lock, and its download waits
    second = here.start(LOCATE)
    for line in second.stdout:
        if "waiting for another process" in line:
            break
    hub.gate.set()
    outputs = [process.communicate(timeout=300) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    for out, _ in outputs:
        assert out.splitlines()[-1] == str(here.converted)
    assert "converting" in outputs[0][0] and "converting" not in outputs[1][0]
    assert len(hub.bodies()) == 1


def padded(tiny_bytes: Any, tmp_path: Path) -> Any:
    """The same checkpoint, too large to arrive in one piece: the client writes 10 MB at a time."""
    path = tmp_path / "small"
    path.write_bytes(tiny_bytes)
    content = torch.load(path, weights_only=True)
    noise = torch.Generator().manual_seed(0)
    content["optimizer"] = torch.randint(0, 255, (24_000_000,), generator=noise, dtype=torch.uint8)
    torch.save(content, path)
    return path.read_bytes()


@pytest.mark.parametrize("ranges", [True, False], ids=["resumed", "range ignored"])
def test_a_download_that_breaks_off_goes_on(
    ranges: Any, hub: Any, place: Any, tiny_bytes: Any, tmp_path: Path
) -> None:
    here = place(hub)
    hub.files[FILE] = padded(tiny_bytes, tmp_path)
    hub.cuts, hub.ranges = [13_000_000], ranges
    done = here.tool("fetch", TINY)
    assert done.returncode == 0, done.stderr
    first, second = hub.bodies()
    assert first == "" and 10_000_000 <= int(second[len("bytes=") : -1]) <= 13_000_000
    assert here.left() == [here.converted.name]
    assert read_card(here.converted).source_sha256 == hashlib.sha256(hub.files[FILE]).hexdigest()


def test_a_download_that_fails_leaves_nothing(
    hub: Any, place: Any, tiny_bytes: Any, tmp_path: Path
) -> None:
    here = place(hub)
    hub.files[FILE] = padded(tiny_bytes, tmp_path)
    # breaks after 13 MB, and the client's second attempt finds no server
    hub.cuts, hub.status = [13_000_000], 503
    line = the_error(here.tool("fetch", TINY))
    assert in_words(here, line) and "HTTP 503" in line
    assert f"{hub.endpoint}/madrylab/robust-imagenet-models/resolve/main/{FILE}" in line
    assert here.left() == []


def test_a_download_that_was_killed_is_swept_away(hub: Any, place: Any) -> None:
    here = place(hub)
    hub.gate.clear()
    killed = here.start(LOCATE)
    assert hub.asked.wait(120)
    killed.kill()
    killed.communicate()
    assert any(name.endswith(".incomplete") for name in here.left())
    hub.gate.set()
    assert here.tool("fetch", TINY).returncode == 0
    assert here.left() == [here.converted.name]


@pytest.mark.parametrize("whole", [True, False])
def test_a_download_that_was_not_converted_remains_ours(
    whole: Any, hub: Any, place: Any, tiny_bytes: Any
) -> None:
    """What is in FILE was placed by hand and is kept, so an interruption must not leave that."""
    here = place(hub)
    interrupt = (
        "from robust_det.conversion import convert\n"
        "def interrupted(*args, **kwargs): raise KeyboardInterrupt\n"
        "convert.convert = interrupted\n"
    )
    assert here.run(interrupt + LOCATE).returncode != 0
    (blob,) = here.downloads.rglob(hashlib.sha256(tiny_bytes).hexdigest())
    assert blob.read_bytes() == tiny_bytes and not (here.downloads / FILE).exists()
    if whole:  # nothing is asked, not even without a network
        assert place(None, HF_HUB_OFFLINE="1").tool("fetch", TINY).returncode == 0
    else:
        blob.write_bytes(tiny_bytes[:-1])
        assert here.tool("fetch", TINY).returncode == 0
    assert here.left() == [here.converted.name] and len(hub.bodies()) == 2 - whole


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2]])
def test_a_damaged_cached_file_is_made_anew(
    damage: Any, hub: Any, place: Callable[..., Any], backbone_file: Path
) -> None:
    here = place(hub)
    here.converted.parent.mkdir(parents=True)
    here.converted.write_bytes(damage(backbone_file.read_bytes()))
    offline = place(hub, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in the_error(offline.tool("fetch", TINY))
    done = here.run(LOCATE)
    assert done.stdout.count(f"making it anew: checkpoint {here.converted} is ") == 1
    assert done.stdout.splitlines()[-1] == str(here.converted)
    assert read_card(here.converted).arch == "resnet10_narrow"


def hub_cache(here: Any, tiny_bytes: Any, name: str = "") -> Any:
    """What hf_hub_download leaves: a blob, named by its hash, and a link to it."""
    repository = here.folder / "hf/hub/models--madrylab--robust-imagenet-models"
    blob = repository / "blobs" / (name or hashlib.sha256(tiny_bytes).hexdigest())
    link = repository / "snapshots" / ("0" * 40) / FILE
    for path in (blob, link, repository / "refs/main"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(tiny_bytes)
    link.symlink_to(blob)
    (repository / "refs/main").write_text("0" * 40)
    return link


def test_what_the_hubs_own_cache_has_is_not_downloaded(
    hub: Any, place: Callable[..., Any], tiny_bytes: bytes
) -> None:
    here = place(hub, HF_HUB_OFFLINE="1")
    link = hub_cache(here, tiny_bytes)
    done = here.run(LOCATE)
    assert done.stdout.splitlines()[-1] == str(here.converted), done
    assert f"using {link}" in done.stdout and "could not be checked" not in done.stdout
    assert link.read_bytes() == tiny_bytes and hub.log == []


def test_a_damaged_file_of_the_hubs_own_cache_is_not_used(
    hub: Any, place: Callable[..., Any], tiny_bytes: bytes
) -> None:
    here = place(hub)
    link = hub_cache(here, tiny_bytes, name="ab" * 32)
    done = here.run(LOCATE)
    assert done.stdout.splitlines()[-1] == str(here.converted), done
    assert f"{link} is not used, as it has SHA-256" in done.stdout
    assert hub.bodies() == [""]


@pytest.mark.parametrize("status, left", [(429, 0), (503, 0), (403, 1)])
def test_a_server_that_is_busy_is_asked_again(status: Any, left: Any, hub: Any, place: Any) -> None:
    here = place(hub, HF_TOKEN="hf_wrong")
    hub.refusals = [status, status]
    done = here.tool("fetch", TINY)
    assert len(hub.refusals) == left
    if left == 0:
        assert done.returncode == 0, done
    else:
        assert "HTTP 403 Forbidden (of HF_TOKEN" in the_error(done)


def test_a_wrong_hash_is_refused(hub: Any, place: Any) -> None:
    here = place(hub)
    hub.sha256 = "ab" * 32
    line = the_error(here.tool("fetch", TINY))
    assert "ab" * 32 in line and FILE in line and "try again" in line
    assert here.left() == []


def test_a_wrong_size_is_refused(hub: Any, place: Callable[..., Any], tiny_bytes: bytes) -> None:
    here = place(hub)
    hub.size = len(tiny_bytes) + 7
    line = the_error(here.tool("fetch", TINY))
    assert in_words(here, line)
    assert f"of size {len(tiny_bytes) + 7} but has size {len(tiny_bytes)}" in line
    assert here.left() == []


def in_words(here: Any, line: Any) -> Any:
    """Whether an error says which file belongs where."""
    return (
        f"cannot download {FILE}: " in line and f"/{FILE}" in line and str(here.downloads) in line
    )


def test_a_file_that_the_hub_lacks(hub: Any, place: Callable[..., Any]) -> None:
    here = place(hub)
    hub.files.clear()
    line = the_error(here.tool("fetch", TINY))
    assert "HTTP 404 Not Found" in line and in_words(here, line)
    assert here.left() == []


def test_a_server_that_is_no_hub(hub: Any, place: Callable[..., Any]) -> None:
    here = place(hub)
    hub.etag = False
    line = the_error(here.tool("fetch", TINY))
    assert "no Hugging Face hub" in line and in_words(here, line)
    assert here.left() == []


def test_no_network(place: Callable[..., Any]) -> None:
    here = place(None)
    line = the_error(here.tool("fetch", TINY))
    assert "refused" in line and in_words(here, line)
    assert here.left() == []


def test_offline_asks_nobody(hub: Any, place: Callable[..., Any]) -> None:
    here = place(hub, HF_HUB_OFFLINE="1")
    line = the_error(here.tool("fetch", TINY))
    assert "HF_HUB_OFFLINE is set" in line and in_words(here, line)
    assert hub.log == []


def test_a_full_disk(hub: Any, place: Callable[..., Any], tiny_bytes: bytes) -> None:
    here = place(hub)
    assert len(tiny_bytes) > 500_000
    # a limit on the size of files fails in mid-write as a full disk does
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
    done = here.run(limit + LOCATE)
    assert f"UserError: cannot write to {here.downloads}: File too large" in done.stderr
    assert not here.converted.exists() and not (here.downloads / FILE).exists()
    assert here.tool("fetch", TINY).returncode == 0


def test_an_endpoint_that_is_none(place: Callable[..., Any]) -> None:
    here = place(None, HF_ENDPOINT="nonsense")
    assert in_words(here, the_error(here.tool("fetch", TINY)))


def test_a_model_from_elsewhere_is_checked_by_the_hash_in_its_name(
    hub: Any, place: Callable[..., Any], tiny_bytes: bytes
) -> None:
    """As the stylized models are: an address, and the first digits of the SHA-256."""
    here = place(hub)
    digest = hashlib.sha256(tiny_bytes).hexdigest()
    code = (
        "import sys; from robust_det.zoo.fetch import fetch\n"
        "from robust_det.core.errors import UserError\n"
        f"published.STYLIZED['odd'] = published.PublishedModel('odd', 'resnet10_narrow', '', 0.5,"
        f" None, 'odd.tar', '{hub.endpoint}/cdn/{FILE}', sys.argv[1])\n"
        "try: print(fetch('odd'))\n"
        "except UserError as error: print(error)\n"
    )
    refused = here.run(code, "00000000")
    assert f"SHA-256 {digest[:8]} instead of 00000000" in refused.stdout, refused
    assert here.left() == []
    assert here.run(code, digest[:8]).stdout.strip() == str(here.converted.with_name("odd.pth"))
    assert here.left() == ["odd.pth"]
    assert {method for method, *_ in hub.log} == {"GET"}
