"""Architectures and classifiers."""

from robust_det.models import catalogue  # noqa: F401  fills the registry
from robust_det.models.card import ModelCard
from robust_det.models.classifier import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Classifier,
    Normalize,
    build_classifier,
)
from robust_det.models.registry import (
    ARCHITECTURES,
    Architecture,
    check_image_size,
    get_architecture,
    register,
)

__all__ = [
    "ARCHITECTURES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Architecture",
    "Classifier",
    "ModelCard",
    "Normalize",
    "build_classifier",
    "check_image_size",
    "get_architecture",
    "register",
]
