"""The kinds of findings: their names, what is done about them, and whether they stop a run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        one, many: its name, for a count of one and of several.
        remedy: what ``DATASETS.LENIENT`` does about it; empty if nothing can be done.
        note: True if it stops no run.
        published: False if it stops no run on data that Detectron2 registers. Those are benchmarks,
            and COCO itself has boxes without area: they are compared as they were published.
        of: what it is a share of, such as ``images``; empty where a share tells nothing.
        said: whether a run says it when it starts, where it is a note.
    """

    one: str
    many: str
    remedy: str = ""
    note: bool = False
    published: bool = True
    of: str = ""
    said: bool = False


_OUT = "left out"
KINDS = {
    "no_images": Kind("empty split: it lists no images", ""),
    "no_objects": Kind("empty split: it has no objects", ""),
    "no_classes": Kind("fault: it lists no classes", ""),
    "broken_class": Kind("broken or repeated class", "broken or repeated classes"),
    "missing_image": Kind("missing image", "missing images", _OUT),
    "unclear_name": Kind("name that no single file fits", "names that no single file fits", _OUT),
    "unreadable_image": Kind("unreadable image", "unreadable images", _OUT),
    "wrong_size": Kind(
        "image of another size than annotated", "images of other sizes than annotated", _OUT
    ),
    "broken_image": Kind("broken image entry", "broken image entries", _OUT),
    "duplicate_image": Kind("repeated image id", "repeated image ids", "kept once"),
    "conflicting_image": Kind(
        "image id given to several files", "image ids given to several files", _OUT
    ),
    "duplicate_file": Kind("image listed twice", "images listed twice", "merged"),
    "missing_annotations": Kind(
        "image without its annotation file", "images without their annotation files", _OUT
    ),
    "broken_file": Kind("malformed annotation file", "malformed annotation files", _OUT),
    "broken_object": Kind("malformed object", "malformed objects", _OUT),
    "incomplete_object": Kind(
        "object without a valid id, area or iscrowd",
        "objects without a valid id, area or iscrowd",
        "completed",
    ),
    "ignored_object": Kind("object marked ignore", "objects marked ignore", "made iscrowd"),
    "duplicate_object": Kind("repeated object id", "repeated object ids", "numbered anew"),
    "repeated_object": Kind(
        "object annotated twice, with the same image, class and box",
        "objects annotated twice, with the same image, class and box", "kept once",
        published=False, of="objects",
    ),
    "unknown_image": Kind(
        "object of an image it does not list", "objects of images it does not list", _OUT
    ),
    "unknown_class": Kind(
        "object of a class it does not list", "objects of classes it does not list", _OUT
    ),
    "broken_box": Kind("negative or infinite box", "negative or infinite boxes", _OUT),
    "normalised_box": Kind(
        "box below one pixel in the corner of its image, as if in parts of the image's width and"
        " height, by which to multiply it",
        "boxes below one pixel in the corners of their images, as if in parts of the images' widths"
        " and heights, by which to multiply them", _OUT, published=False, of="objects",
    ),
    "pixel_label": Kind(
        "object with numbers far above 1, where those of YOLO are parts of the image's width and"
        " height, from 0 to 1, by which to divide pixels",
        "objects with numbers far above 1, where those of YOLO are parts of the images' widths and"
        " heights, from 0 to 1, by which to divide pixels", _OUT,
    ),
    "empty_box": Kind("box without area", "boxes without area", _OUT, published=False),
    "outside": Kind("box outside its image", "boxes outside their images", _OUT, published=False),
    "partly_outside": Kind(
        "box partly outside its image", "boxes partly outside their images", "clipped",
        published=False,
    ),
    "broken_mask": Kind("malformed mask", "malformed masks", _OUT, published=False),
    "mask_size": Kind("mask of another size than its image",
        "masks of other sizes than their images", _OUT
    ),
    "mask_outside": Kind(
        "mask partly outside its image", "masks partly outside their images", "clipped",
        published=False,
    ),
    "no_outline": Kind(
        "object without an outline, which MODEL.MASK_ON needs",
        "objects without outlines, which MODEL.MASK_ON needs", _OUT, published=False, of="objects",
    ),
    "missing_segments": Kind("image without its segments", "images without their segments", _OUT),
    "unknown_segment": Kind(
        "image with a segment of a class it does not list",
        "images with segments of classes they do not list", _OUT
    ),
    "segments_size": Kind(
        "semantic map of another size than its image",
        "semantic maps of other sizes than their images", _OUT
    ),
    "orphan_label": Kind(
        "label file without an image", "label files without images",
        note=True, of="label files", said=True,
    ),
    "shared_label": Kind(
        "image that shares its label file with another of the same name and another suffix",
        "images that share their label files with others of the same names and other suffixes",
        note=True, of="images", said=True,
    ),
    "unread_image": Kind(
        "image in a format that is not read", "images in formats that are not read",
        note=True, of="image files", said=True,
    ),
    "deep_image": Kind(
        "image of more than 8 bits a channel, scaled to 8",
        "images of more than 8 bits a channel, scaled to 8",
        note=True, of="images", said=True,
    ),
    "dark_image": Kind(
        "image that uses less than a sixteenth of its 16 bits, and is nearly black when scaled",
        "images that use less than a sixteenth of their 16 bits, and are nearly black when scaled",
        note=True, of="images",
    ),
    "frames_image": Kind(
        "image of several frames or pages, of which the first is read",
        "images of several frames or pages, of which the first is read", note=True, of="images",
    ),
    "turned_image": Kind(
        "image that its EXIF orientation turns; boxes are taken to be on the turned one",
        "images that their EXIF orientation turns; boxes are taken to be on the turned ones",
        note=True, of="images",
    ),
    "all_crowds": Kind(
        "set of crowds alone (iscrowd 1), in which nothing is left to learn or score, unless"
        " DATASETS.CROWD is objects", "", note=True, said=True,
    ),
    "crowd_class": Kind(
        "class whose objects are all crowds (iscrowd 1), so that it is neither learnt nor scored,"
        " unless DATASETS.CROWD is objects",
        "classes whose objects are all crowds (iscrowd 1), so that they are neither learnt nor"
        " scored, unless DATASETS.CROWD is objects", note=True, said=True,
    ),
    "difficult_class": Kind(
        "class whose objects are all marked difficult, so that it is learnt and not scored",
        "classes whose objects are all marked difficult, so that they are learnt and not scored",
        note=True, said=True,
    ),
    "crowd": Kind(
        "crowd (iscrowd 1), which is neither learnt nor scored, unless DATASETS.CROWD is objects",
        "crowds (iscrowd 1), which are neither learnt nor scored, unless DATASETS.CROWD is objects",
        note=True, of="objects", said=True,
    ),
    "taken_crowd": Kind(
        "crowd (iscrowd 1) taken as a single object", "crowds (iscrowd 1) taken as single objects",
        note=True, of="objects", said=True,
    ),
    "percent_boxes": Kind(
        "box", "boxes that all end within the first 100 pixels of larger images, as if in percent",
        note=True, of="objects", said=True,
    ),
    "bare_object": Kind(
        "object without an outline", "objects without outlines", note=True, of="objects"
    ),
    "bare_crowd": Kind(
        "crowd without an outline", "crowds without outlines", note=True, of="objects"
    ),
    "mask_elsewhere": Kind(
        "outline that does not touch the box of its object",
        "outlines that do not touch the boxes of their objects", note=True, of="objects", said=True,
    ),
    "mask_apart": Kind(
        "outline that hardly covers the box of its object, or is far larger",
        "outlines that hardly cover the boxes of their objects, or are far larger",
        note=True, of="objects", said=True,
    ),
    "area_apart": Kind(
        "object whose area is larger than its box, or nearly 0, so that it counts among the small,"
        " medium or large ones wrongly",
        "objects whose areas are larger than their boxes, or nearly 0, so that they count among the"
        " small, medium or large ones wrongly", note=True, of="objects", said=True,
    ),
    "oriented_box": Kind(
        "outline that is a turned rectangle, as of an oriented box; its box is the upright one"
        " around it",
        "outlines that are turned rectangles, as of oriented boxes; their boxes are the upright"
        " ones around them", note=True, of="objects", said=True,
    ),
    "broken_keypoints": Kind(
        "object whose malformed keypoints are left out",
        "objects whose malformed keypoints are left out", note=True
    ),
    "other_name": Kind(
        "file found under another spelling of its name",
        "files found under another spelling of their names", note=True, said=True
    ),
    "hidden_file": Kind(
        "hidden file that is listed, left out", "hidden files that are listed, left out",
        note=True, said=True
    ),
    "guessed_text": Kind(
        "text that is not UTF-8 and taken for Windows-1252",
        "texts that are not UTF-8 and taken for Windows-1252", note=True, said=True
    ),
    "read_table": Kind("table, read as its columns say", "", note=True, said=True),
    "read_masks": Kind("folder of masks", "", note=True, said=True),
    "unmasked_image": Kind(
        "image without a mask, left out", "images without masks, left out", note=True, said=True
    ),
    "from_one": Kind(
        "table in which boxes begin at 1 and none at 0, as if pixels were counted from 1 as VOC"
        " does; ORIGIN 1 takes them so, and ORIGIN 0 as they are", "", note=True, said=True,
    ),
    "unlisted_image": Kind(
        "image that the table does not list, left out",
        "images that the table does not list, left out", note=True, said=True
    ),
    "whole_folder": Kind("split without a list of its own", "", note=True, said=True),
    "unannotated_image": Kind(
        "image without an annotation file, left out",
        "images without annotation files, left out", note=True, said=True
    ),
    "group_class": Kind(
        "category without objects that shares its name with a class, left out",
        "categories without objects that share their names with classes, left out",
        note=True, said=True
    ),
    "similar_class": Kind(
        "class whose name is another's but for case, spaces or the composition of accents",
        "classes whose names are others' but for case, spaces or the composition of accents",
        note=True, said=True
    ),
    "unused_class": Kind("class without objects", "classes without objects", note=True),
    "empty_image": Kind("image without objects", "images without objects", note=True),
}  # fmt: skip
