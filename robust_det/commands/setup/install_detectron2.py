"""Install Detectron2 0.5 as a pure-Python package, unless a whole Detectron2 is there already.

Detectron2 is not on PyPI under its own name. The source archive ``detectron2-cdo`` is version 0.5
without the C++ sources, so that a plain pip install of it fails while compiling. This script
verifies the archive, builds a wheel of its Python files and model-zoo configs, and installs that.
What the compiled operators would have done is up to ``robust_det/backbones/compat.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

REQUIREMENT = "detectron2-cdo==0.5"
SHA256 = "53c9e79e9cc943e80419c588ea44b5479507a8628ed14a4e06bd093e29311b18"

# Runs the archive's own setup.py, which knows its packages, with four arguments changed.
BUILD = """
import runpy, sys
from pathlib import Path
import setuptools

original = setuptools.setup

def setup(**arguments):
    arguments["name"] = "detectron2"  # under which importlib.metadata and pip look for it
    arguments["ext_modules"] = []  # the archive has no C++ sources
    arguments.pop("cmdclass", None)
    zoo = Path("detectron2/model_zoo")
    # the archive has them, and its setup.py looks for them where a checkout does
    configs = [f for f in sorted(zoo.glob("configs/**/*")) if f.suffix in (".yaml", ".py")]
    names = [str(f.relative_to(zoo)) for f in configs]
    arguments["package_data"] = {"detectron2.model_zoo": names}
    # black was for an optional config printer, and the bound on iopath has long been untrue
    kept = [r for r in arguments["install_requires"] if not r.startswith(("black", "iopath"))]
    arguments["install_requires"] = [*kept, "iopath>=0.1.7"]
    original(**arguments)

setuptools.setup = setup
sys.argv = ["setup.py", "-q", "bdist_wheel", "--dist-dir", sys.argv[1]]
sys.path.insert(0, "")
runpy.run_path("setup.py", run_name="__main__")
"""


def run(command: Sequence[str], what: str, cwd: Path | None = None) -> str:
    """Run a command silently and return its output.

    Raises:
        UserError: it failed; the message ends with the last line it printed.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")] or lines
        raise UserError(f"cannot {what}: {errors[-1] if errors else 'it printed nothing'}")
    return done.stdout.strip()


class Found(NamedTuple):
    """The Detectron2 that can be imported."""

    version: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.version} in {self.folder}"

    @property
    def is_whole(self) -> bool:
        """False for what this script made before it knew of the zoo's configs in Python."""
        if self.version != "0.5" or any(self.folder.glob("_C*")):
            return True
        configs = self.folder / "model_zoo/configs"
        return any(configs.rglob("*.py")) or not any(configs.rglob("*.yaml"))


def installed() -> Found | None:
    """Return the Detectron2 that can be imported, or None."""
    code = "import detectron2 as d; print(d.__version__); print(d.__path__[0])"
    with tempfile.TemporaryDirectory() as folder:  # not where a folder is called detectron2
        try:
            output = run([sys.executable, "-c", code], "import detectron2", Path(folder))
        except UserError:
            return None
    version, folder = output.splitlines()[-2:]
    return Found(version, Path(folder))


def download(folder: Path) -> Path:
    """Fetch the source archive into ``folder`` with pip, which checks the hash before it runs any
    of it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    # its setup.py imports torch, which an isolated build would download once more
    command += ["--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
    run([*command, "-r", str(requirements), "-d", str(folder)], f"download {REQUIREMENT}")
    found = list(folder.glob("*.tar.gz"))
    if len(found) != 1:
        raise UserError(f"pip downloaded no source archive of {REQUIREMENT}; try --archive FILE")
    return found[0]


def verify(archive: Path) -> None:
    """Compare the archive's SHA-256 with the known one.

    Raises:
        UserError: it differs, or the file cannot be read.
    """
    try:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror}") from error
    if digest != SHA256:
        raise UserError(
            f"{archive} has SHA-256 {digest}, not {SHA256}; it is not the source archive of "
            f"{REQUIREMENT}, and nothing was installed"
        )


def extract(archive: Path, folder: Path) -> Path:
    """Unpack the archive below ``folder`` and return its one top folder.

    Raises:
        UserError: a member is a link or a device, or would land outside ``folder``.
    """
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or not path.parts:
                    raise UserError(f"{archive} is refused: '{member.name}' leads out of it")
                if not (member.isfile() or member.isdir()):
                    raise UserError(f"{archive} is refused: '{member.name}' is a link or a device")
            # Python's own filter where there is one (3.10.12, 3.11.4, 3.12): modes, owners
            extra = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, members, **extra)  # type: ignore[arg-type]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"cannot unpack {archive}: {error}") from error
    tops = {PurePosixPath(member.name).parts[0] for member in members}
    if len(tops) != 1:
        raise UserError(f"{archive} is refused: it holds {len(tops)} top folders, not one")
    return folder / tops.pop()


def require_builder() -> None:
    """Check that wheels can be built here, which an old setuptools cannot do by itself.

    Raises:
        UserError: neither ``wheel`` nor a setuptools that brings it is installed.
    """
    for name in ("wheel", "setuptools.command.bdist_wheel"):
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(name):
                return
    raise UserError("building Detectron2 needs 'wheel'; run: python -m pip install wheel")


def build(source: Path, wheels: Path) -> Path:
    """Build a wheel of unpacked sources below ``wheels``; return it.

    Raises:
        UserError: the build failed, or left no wheel.
    """
    run([sys.executable, "-c", BUILD, str(wheels)], "build Detectron2", source)
    built = list(wheels.glob("detectron2-*.whl"))
    if len(built) != 1:
        raise UserError("the build of Detectron2 left no wheel; is setuptools<81 installed?")
    return built[0]


EXAMPLES = (
    "robust-det install-detectron2",
    "robust-det install-detectron2 --archive detectron2_cdo-0.5.tar.gz",
)


def main(args: argparse.Namespace) -> int:
    """Install, unless there is nothing to do."""
    found = installed()
    if found and not args.force:
        if found.is_whole:
            print(f"Detectron2 {found} is already installed; nothing to do (--force replaces it)")
            return 0
        print(f"Detectron2 {found} lacks its model zoo's configs in Python, and is replaced")
    require_builder()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = args.archive or download(folder)
        verify(archive)
        source = extract(archive, folder / "source")
        wheel = build(source, folder / "wheels")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        run([*command, "--force-reinstall", str(wheel)], "install Detectron2")
    found = installed()
    if found is None:
        raise UserError("Detectron2 was installed but does not import; is torch installed?")
    print(f"Detectron2 {found} is installed")
    return 0


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--archive", type=Path, help="detectron2_cdo-0.5.tar.gz, if there is no network"
    )
    parser.add_argument("--force", action="store_true", help="replace an installed Detectron2")
