"""Gradients of a classifier's loss with respect to the image (Tsipras et al. 2019, figure 2).

Nothing is done to them but scaling for the eye: 0 is grey, and what lies beyond three times the
root mean square is cut off, on both sides alike, for each channel and image.
"""

from __future__ import annotations

import torch

from robust_det.attacks import classifier_objective, frozen
from robust_det.attacks.steps import ascent
from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.visualization.images import read_squares
from robust_det.visualization.job import Job, Result
from robust_det.visualization.networks import ShownBackbone, common_size, load_backbones
from robust_det.visualization.sheet import Cell, Row, Sheet, bytes_of, symmetric

__all__ = ["DEVIATIONS", "draw", "input_gradients", "scaled_gradient"]

DEVIATIONS = 3.0
_BATCH = 32


def input_gradients(
    classifier: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropies (N,) of classes, and their gradients (N, 3, H, W).

    Args:
        classifier: images (N, 3, H, W) in [0, 1] to logits.
        images: as it takes them.
        labels: (N,).
    """
    with frozen(classifier):
        return ascent(classifier_objective(classifier, labels), images)


def scaled_gradient(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient (3, H, W) as an image in [0, 1] in which 0 is a half."""
    deviations = gradient.square().mean((1, 2)).sqrt()
    return torch.stack(
        [symmetric(g, DEVIATIONS * float(d)) for g, d in zip(gradient, deviations, strict=True)]
    )


def draw(job: Job) -> Result:
    """Draw the gradients of every backbone on all images.

    Raises:
        UserError: an image or a backbone cannot be read, or they do not fit.
    """
    backbones = load_backbones(job.backbones)
    size, said = common_size(backbones, job.size)
    images, notes = read_squares(job.images, size, max(each.stride for each in backbones))
    images, said = images.to(job.device), said + notes
    columns, cells, table = ["image"], [[Cell(bytes_of(image))] for image in images], []
    with progress_bar(len(backbones) * len(images), "gradients", "images") as bar:
        for each in backbones:
            classifier = each.classifier(job.device)
            with torch.no_grad():
                logits = torch.cat([classifier(part) for part in images.split(_BATCH)])
            labels, truly, more = _labels(job, each, logits)
            said += more
            parts = [
                input_gradients(classifier, images[at : at + _BATCH], labels[at : at + _BATCH])
                for at in range(0, len(images), _BATCH)
            ]
            losses, gradients = (torch.cat(list(both)) for both in zip(*parts, strict=True))
            columns.append(each.shown.heading)
            shares = logits.softmax(1)
            for n, path in enumerate(job.images):
                label, share = int(labels[n]), float(shares[n, labels[n]])
                name = _name(each, label)
                caption = f"{name}, {100 * share:.0f}%"
                cells[n].append(Cell(bytes_of(scaled_gradient(gradients[n])), caption))
                table.append(
                    {
                        "network": each.name,
                        "image": str(path),
                        "class": name,
                        "from": "true" if truly else "predicted",
                        "probability": share,
                        "loss": float(losses[n]),
                        "gradient_l2": float(gradients[n].norm()),
                    }
                )
            bar.update(len(images))
    rows = [Row(path.name, cells[n]) for n, path in enumerate(job.images)]
    settings = {"size": size, "deviations": DEVIATIONS, "label": job.label, "seed": job.seed}
    shown = [each.shown for each in backbones]
    return Result(Sheet(job.title, columns, rows), shown, table, settings, (), said)


def _labels(
    job: Job, backbone: ShownBackbone, logits: torch.Tensor
) -> tuple[torch.Tensor, bool, list[str]]:
    """Return the classes (N,) whose loss is differentiated, whether they are true ones, and what to
    say of that."""
    predicted = logits.argmax(1)
    if job.label == "predicted":
        return predicted, False, []
    classes = {name: number for number, name in enumerate(backbone.model.classes)}
    folders = [path.absolute().parent.name for path in job.images]
    lost = [path for path, name in zip(job.images, folders, strict=True) if name not in classes]
    if not lost:
        return predicted.new_tensor([classes[name] for name in folders]), True, []
    if job.label == "true":
        raise UserError(
            f"the true class of {lost[0]} is not known: its folder has the name of none of the"
            f" {len(classes)} classes that the file of {backbone.name} names; leave --label out for"
            " the predicted one"
        )
    why = f"the folder of {lost[0].name} is named as none of its classes"
    return predicted, False, [f"Of {backbone.name} it is the loss of the predicted class: {why}."]


def _name(backbone: ShownBackbone, label: int) -> str:
    return backbone.model.classes[label] if backbone.model.classes else f"class {label}"
