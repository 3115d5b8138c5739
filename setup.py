"""Package metadata of robust_det; ``pip install -e .`` is how it is meant to be installed."""

import json
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# run, not imported: the package's requirements are not there while pip builds it
INSTALLATION = runpy.run_path(str(HERE / "robust_det/core/installation.py"))


class BuildPackage(build_py):
    """Puts into a wheel what a checkout has beside the package: its configs and its commit."""

    def run(self) -> None:
        target = Path(self.build_lib, "robust_det")
        if not self.editable_mode:
            # what an earlier build left there may no longer exist
            shutil.rmtree(target, ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        shutil.copytree(HERE / "configs", target / "configs")
        commit, modified = INSTALLATION["source_state"]()
        known = {"commit": commit, "modified": modified}
        (target / INSTALLATION["BUILD_NAME"]).write_text(json.dumps(known) + "\n")


setup(
    name="robust_det",
    version=INSTALLATION["__version__"],
    description="Adversarially robust ImageNet backbones for Detectron2 detectors",
    license="Apache-2.0",
    packages=find_packages(include=["robust_det", "robust_det.*"]),
    cmdclass={"build_py": BuildPackage},
    entry_points={"console_scripts": ["robust-det = robust_det.commands.main:main"]},
    package_data={
        "robust_det": [
            "py.typed",
            *(f"**/*.{suffix}" for suffix in ("html", "css", "js", "csv", "json", "jpg", "txt")),
        ]
    },
    python_requires=">=3.10",
    # Ranges in which the code is meant to work; requirements.txt pins what is tested together.
    #
    # Detectron2 is not here: it is not on PyPI under its own name, so pip would fail, or install
    # whatever somebody uploads as "detectron2" one day. Users bring the official one, or run
    # robust-det install-detectron2.
    # OpenCV is not here either: four distributions provide cv2 and break each other when two are
    # installed. Whoever has none takes the extra.
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "numpy>=1.24",
        "scipy>=1.10",
        "pillow>=9.1",
        "fvcore>=0.1.5,<0.1.6",
        "PyYAML>=5.1",
        "simplejpeg>=1.8",
        "pycocotools>=2.0.6",
        "faster-coco-eval>=1.8",
        "msgspec>=0.19",
        "jinja2>=3.0",
        "markupsafe",
        "matplotlib>=3.6",
        "tensorboard>=2.10",
        "packaging>=20",
        "shtab>=1.6",
        "tabulate",
        "tqdm>=4.60",
        "safetensors>=0.4.3",
        "huggingface_hub>=1.10,<3",
        "filelock>=3.10",
        # Detectron2's model zoo imports pkg_resources, which later versions do not have
        "setuptools<81",
    ],
    extras_require={
        "opencv": ["opencv-python-headless>=4.6"],
        # and, without its dependencies, imagecorruptions-imaug, which asks for the other OpenCV
        "corruptions": ["scikit-image>=0.22", "numba>=0.59"],
        # architectures of its names, as timm:resnet50d
        "timm": ["timm>=1.0"],
        # LOG.WANDB and LOG.MLFLOW; with a server, mlflow-skinny is enough
        "wandb": ["wandb>=0.19"],
        "mlflow": ["mlflow>=2.14"],
        # SQL over records, and Parquet
        "records": ["duckdb>=2"],
        "export": ["onnx>=1.16", "onnxruntime>=1.18"],
        "dev": [
            "ruff",
            "mypy",
            "check-jsonschema",
            "import-linter",
            "pre-commit",
            "pre-commit-hooks",
            "zizmor",
            "duckdb",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "hypothesis",
            "jsonschema",
            "scikit-learn",
            "captum",
            "timm",
            "types-PyYAML",
            "types-tabulate",
            "types-tqdm",
        ],
    },
)
