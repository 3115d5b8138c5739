"""Loading of training images: ours, the exact way and torchvision's, in turn on the same files.

What is timed is an image of a batch, from its file to the batch: reading, decoding, random crop,
flip, colour jitter, stacking; in one process and one thread, as in each worker of a loader. The
files are read once before, so that they come from the page cache. Pictures of a folder, or of the
package if none is given, are brought to one size in pixels and bytes first.

    python benchmarks/loading.py datasets/coco/train2017
    python benchmarks/loading.py --table benchmarks/records/loading.jsonl
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import append_result, markdown_table, parse_arguments, read_results
from scipy.stats import ks_2samp
from torchvision import io as tv_io
from torchvision.transforms import v2
from turns import in_turn

import robust_det
from robust_det.data.classification.crops import random_box, train_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import Corrupt, collate
from robust_det.records import environment

HIDDEN = ("folder", "output", "table")
SIDES = ("before", "exact", "torchvision", "ours")
SCALE = (0.08, 1.0)


class Before(ImageFolder):
    """As images were loaded before there was a faster way, for comparison."""

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, i = key
        with Image.open(self.path(i)) as file:
            image = file.convert("RGB")
        seed = np.random.SeedSequence([self.seed, epoch, i]).generate_state(1)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            return self.transform(image), int(self.targets[i]), i, ""


def steps(size: int, jitter: float) -> list[torch.nn.Module]:
    """Return torchvision's transforms."""
    crop = [v2.RandomResizedCrop(size, scale=SCALE, antialias=True)]
    colours = [v2.ColorJitter(jitter, jitter, jitter)] if jitter else []
    return [*crop, v2.RandomHorizontalFlip(), *colours]


def make_sides(root: Path, size: int, jitter: float) -> dict[str, ImageFolder]:
    """Return the data sets to compare, by name; all crop the same boxes."""
    of_pillow: Any = v2.Compose([*steps(size, jitter), v2.PILToTensor()])
    of_tensor = v2.Compose(steps(size, jitter))

    def torchvision(path: str) -> torch.Tensor:
        content = tv_io.read_file(path)
        image: torch.Tensor = of_tensor(tv_io.decode_jpeg(content, tv_io.ImageReadMode.RGB))
        return image

    def ours(exact: bool) -> Callable[[str], torch.Tensor]:
        return train_transform(size, SCALE, True, jitter, exact=exact)

    return {
        "before": Before(root, "train", of_pillow),
        "exact": ImageFolder(root, "train", ours(True)),
        "torchvision": ImageFolder(root, "train", torchvision),
        "ours": ImageFolder(root, "train", ours(False)),
    }


def write_images(folder: Path | None, to: Path, args: argparse.Namespace) -> int:
    """Write JPEGs of about one size in pixels and bytes; returns their mean size in bytes."""
    paths = sorted(p for p in (folder or sources()).rglob("*") if p.suffix.lower() == ".jpg")
    if not paths:
        raise SystemExit(f"no .jpg files in {folder}")
    rng = np.random.default_rng(0)
    sizes = []
    to.mkdir(parents=True)
    for i in range(args.images):
        with Image.open(paths[i % len(paths)]) as file:
            image = file.convert("RGB")
        if image.width < image.height:
            image = image.transpose(Image.Transpose.ROTATE_90)
        image = image.resize((args.width, args.height), Image.Resampling.LANCZOS)
        if folder is None:  # enlarged, they lack a camera's grain
            grain = rng.normal(0, 4, (args.height, args.width, 1))
            image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
        content = encode(image, args.kilobytes * 1000)
        (to / f"{i:03d}.jpg").write_bytes(content)
        sizes.append(len(content))
    return round(statistics.mean(sizes))


def sources() -> Path:
    """Return the folder of the package's own pictures."""
    return Path(robust_det.__file__).parent / "data" / "photographs"


def encode(image: Image.Image, most: int) -> bytes:
    """Encode at the highest quality that needs at most ``most`` bytes."""
    for quality in range(98, 0, -2):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= most:
            break
    return buffer.getvalue()


def measure(sides: dict[str, ImageFolder], batch: int, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of processor time an image, by side."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn, (name, data) in enumerate(in_turn(sides.items(), rounds)):
        epoch = turn // len(sides)  # by which the crops differ
        start = time.process_time()
        for first in range(0, len(data), batch):
            collate([data[epoch, i] for i in range(first, min(first + batch, len(data)))])
        taken[name].append((time.process_time() - start) / len(data) * 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def differences(sides: dict[str, ImageFolder]) -> dict[str, float]:
    """Return by how many of 255 levels a pixel of ours differs from the exact one."""
    largest, total = 0, 0.0
    for i in range(len(sides["ours"])):
        ours, exact = sides["ours"][0, i], sides["exact"][0, i]
        assert not isinstance(ours, Corrupt) and not isinstance(exact, Corrupt)
        apart = (ours[0].int() - exact[0].int()).abs()
        largest, total = max(largest, int(apart.max())), total + float(apart.float().mean())
    return {"largest": largest, "mean": total / len(sides["ours"])}


def crops(height: int, width: int, count: int = 2000) -> dict[str, float]:
    """Compare our crops with torchvision's: by the same seeds, and as two samples.

    Returns:
        How many of ``count`` boxes are the same by the same seed; the smallest p-value of the
        Kolmogorov-Smirnov tests of top, left, height and width by other seeds.
    """
    image = torch.empty(3, height, width, device="meta")
    stock = v2.RandomResizedCrop(1, scale=SCALE)

    def theirs(seed: int) -> Sequence[int]:
        torch.manual_seed(seed)
        params = stock.make_params([image])
        return [params[name] for name in ("top", "left", "height", "width")]

    def ours(seed: int) -> Sequence[int]:
        torch.manual_seed(seed)
        return random_box(height, width, SCALE)

    same = sum(tuple(theirs(seed)) == tuple(ours(seed)) for seed in range(count))
    a = np.array([theirs(seed) for seed in range(count)])
    b = np.array([ours(seed) for seed in range(count, 2 * count)])
    p = min(float(ks_2samp(a[:, i], b[:, i]).pvalue) for i in range(4))
    return {"drawn": count, "same": same, "smallest_p": p}


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    head = ["pixels", "kB", "crop", "jitter", "images/s, ours", "exact", "before", "torchvision"]
    head += ["ours to before", "ours to torchvision", "difference, largest", "mean"]
    cells = []
    for row in read_results(path):
        ms, settings = row["ms"], row["settings"]
        cells.append(
            [
                f"{settings['width']} x {settings['height']}",
                round(row["bytes"] / 1000),
                settings["size"],
                settings["jitter"],
                *(f"{1e3 / ms[side]:,.0f}" for side in ("ours", "exact", "before", "torchvision")),
                f"{ms['before'] / ms['ours']:.2f}x",
                f"{ms['torchvision'] / ms['ours']:.2f}x",
                row["difference"]["largest"],
                f"{row['difference']['mean']:.2f}",
            ]
        )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="with JPEG photos")
    parser.add_argument("--width", type=int, default=500, help="of the images, in pixels")
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--kilobytes", type=int, default=65, help="of an image, at most")
    parser.add_argument("--size", type=int, default=224, help="of the crops")
    parser.add_argument("--jitter", type=float, default=0.0, help="DATA.COLOR_JITTER")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    args = parse_arguments(parser, table)
    if args is None:
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        length = write_images(args.folder, Path(root) / "train" / "photos", args)
        sides = make_sides(Path(root), args.size, args.jitter)
        measure(sides, args.batch, 1)  # fills the caches
        result: dict[str, Any] = {
            "benchmark": "loading",
            "settings": {k: v for k, v in vars(args).items() if k not in HIDDEN},
            "bytes": length,
            "ms": measure(sides, args.batch, args.rounds),
            "difference": differences(sides),
            "crops": crops(args.height, args.width),
            "environment": environment("cpu"),
        }
    ms = result["ms"]
    print(f"{args.images} images of {args.width} x {args.height}, {length / 1000:.0f} kB")
    for name in SIDES:
        faster = ms["before"] / ms[name]
        print(f"  {name:12s} {ms[name]:6.3f} ms, {1e3 / ms[name]:7.1f} images/s, {faster:.2f}x")
    print("difference of ours to exact, in levels:", result["difference"])
    print("crops, ours and torchvision's:", result["crops"])
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
