"""What is known of each set: official sizes, where it comes from, how it is reported.

Sizes and metrics are those of Salman et al. 2020 (appendix, the table of data sets), of Kornblith
et al. 2019 for the sets that both have, and of the sets' own documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robust_det.core.errors import UserError, did_you_mean

__all__ = ["ALL", "MEAN_PER_CLASS", "SETS", "SPLITS", "SPLIT_WORDS", "TOP1", "Facts", "facts_of"]

TOP1, MEAN_PER_CLASS = "top1", "mean_per_class"
SPLITS = ("train", "val", "test")
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}  # of their images
ALL = "all"  # in place of splits: images that nobody has split yet


@dataclass(frozen=True)
class Facts:
    """A set.

    Attributes:
        title: its name in papers.
        classes: how many; 0 of a set of the user's own.
        sizes: images by split; by ``all`` where there is no official split.
        headline: the metric that papers report, ``top1`` or ``mean_per_class``.
        source: where the official files are.
        layout: what is expected below the folder, in words.
        torchvision: the class that downloads it; empty if none can.
        per_class: training images a class, where the split is drawn.
        short_side: images whose median short side is below it, in pixels, were made smaller.
        paper_outputs: of the paper's head, where they are not the classes.
        remark: what everybody should know who compares figures.
    """

    title: str
    classes: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    headline: str = TOP1
    source: str = ""
    layout: str = ""
    torchvision: str = ""
    per_class: int = 0
    short_side: int = 0
    paper_outputs: int = 0
    remark: str = ""


SETS: Mapping[str, Facts] = {
    "aircraft": Facts(
        "FGVC-Aircraft",
        100,
        {"train": 3334, "val": 3333, "test": 3333},
        MEAN_PER_CLASS,
        "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
        "fgvc-aircraft-2013b/data with images/, variants.txt and images_variant_train.txt, _val and"
        " _test",
        "FGVCAircraft",
        short_side=400,
        remark="the paper names the per-class mean, yet its figures of ResNet-18, ResNet-50 and"
        " WRN-50-2 are top-1; each image ends in a strip of 20 px with its photographer's name",
    ),
    "birdsnap": Facts(
        "Birdsnap",
        500,
        {"train": 47386, "test": 2443},
        TOP1,
        "http://thomasberg.org/datasets/birdsnap/1.1/birdsnap.tgz",
        "images.txt, species.txt, test_images.txt and images/<species>/, as get_birdsnap.py makes"
        " them",
        short_side=150,
        remark="images come from Flickr one by one, and many are gone: copies differ",
    ),
    "caltech101": Facts(
        "Caltech-101",
        101,
        {ALL: 8677},
        MEAN_PER_CLASS,
        "https://data.caltech.edu/records/mzrjq-6wc02",
        "101_ObjectCategories/<class>/image_0001.jpg",
        "Caltech101",
        per_class=30,
        short_side=150,
        remark="there is no official split: 30 images a class are drawn, the others are the test",
    ),
    "caltech256": Facts(
        "Caltech-256",
        257,
        {ALL: 30607},
        MEAN_PER_CLASS,
        "https://data.caltech.edu/records/nyy15-4j048",
        "256_ObjectCategories/001.ak47/001_0001.jpg",
        "Caltech256",
        per_class=60,
        short_side=150,
        remark="there is no official split: 60 images a class are drawn, the others are the test;"
        " clutter counts as a class",
    ),
    "cars": Facts(
        "Stanford Cars",
        196,
        {"train": 8144, "test": 8041},
        TOP1,
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html (gone; mirrors have it)",
        "cars_train/, cars_test/, devkit/cars_train_annos.mat, devkit/cars_meta.mat and"
        " cars_test_annos_withlabels.mat beside devkit/",
        short_side=150,
    ),
    "cifar10": Facts(
        "CIFAR-10",
        10,
        {"train": 50000, "test": 10000},
        TOP1,
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-batches-py/data_batch_1 to data_batch_5, test_batch and batches.meta",
        "CIFAR10",
        short_side=32,
    ),
    "cifar100": Facts(
        "CIFAR-100",
        100,
        {"train": 50000, "test": 10000},
        TOP1,
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "cifar-100-python/train, test and meta",
        "CIFAR100",
        short_side=32,
    ),
    "dtd": Facts(
        "DTD",
        47,
        {"train": 1880, "val": 1880, "test": 1880},
        TOP1,
        "https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        "dtd/images/<class>/ and dtd/labels/train1.txt, val1.txt and test1.txt",
        "DTD",
        short_side=200,
        paper_outputs=57,
        remark="the first of ten official splits is taken, as everywhere",
    ),
    "flowers": Facts(
        "Flowers-102",
        102,
        {"train": 1020, "val": 1020, "test": 6149},
        MEAN_PER_CLASS,
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        "jpg/image_00001.jpg, imagelabels.mat and setid.mat",
        "Flowers102",
        short_side=400,
    ),
    "food": Facts(
        "Food-101",
        101,
        {"train": 75750, "test": 25250},
        TOP1,
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        "food-101/images/<class>/ and food-101/meta/train.json and test.json",
        "Food101",
        short_side=250,
        remark="training labels were not cleaned, test labels were",
    ),
    "pets": Facts(
        "Oxford-IIIT Pets",
        37,
        {"train": 3680, "test": 3669},
        MEAN_PER_CLASS,
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "images/Abyssinian_1.jpg, annotations/trainval.txt and annotations/test.txt",
        "OxfordIIITPet",
        short_side=150,
    ),
    "sun397": Facts(
        "SUN397",
        397,
        {"train": 19850, "test": 19850},
        TOP1,
        "https://vision.princeton.edu/projects/2010/SUN/ (gone since 2025; mirrors have"
        " SUN397.tar.gz and Partitions.zip)",
        "SUN397/a/abbey/, and ClassName.txt, Training_01.txt and Testing_01.txt beside them or in"
        " Partitions/",
        short_side=150,
        remark="the first of ten official partitions is taken, 50 + 50 images a class",
    ),
    "folder": Facts(
        "folders of classes", layout="train/<class>/, test/<class>/, maybe val/<class>/"
    ),
    "csv": Facts("a table", layout="one CSV file with the columns path, label and maybe split"),
}


def facts_of(name: str) -> Facts:
    """Return what is known of a set.

    Raises:
        UserError: no set has this name.
    """
    if name not in SETS:
        hint = did_you_mean(name, SETS) or f"; it is one of {', '.join(SETS)}"
        raise UserError(f"no data set is called '{name}'{hint}")
    return SETS[name]
