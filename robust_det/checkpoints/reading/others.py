"""What people take for a checkpoint, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["other_archive", "other_file"]

_UNPACK = "unpack it and give the checkpoint in it"
_EXPORT = "export the weights with torch.save"
_FILES = (
    (b"<", "a web page, so its download failed", "download it again"),
    (
        b"version https://git-lfs",
        "a pointer of git-lfs",
        "fetch the file itself with 'git lfs pull'",
    ),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
    (b"\x89HDF", "an HDF5 file, which is not one of torch", _EXPORT),
    (b"\x93NUMPY", "an array of NumPy, which is not one of torch", _EXPORT),
    (b"{", "a text in JSON, not a checkpoint", "give the file of the weights"),
)


def other_file(head: bytes) -> tuple[str, str] | None:
    """Return what a file is, told from its first 512 bytes, and what to do about it.

    None if it may be a checkpoint.
    """
    if head.startswith(b"{") and b'"weight_map"' in head:
        return "the list of a checkpoint's parts", "join them into one file and give that"
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    # of its fields the version comes first, then who made it, or the graph
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return "an ONNX file", "give the weights that it was exported from"
    return next(((what, advice) for start, what, advice in _FILES if head.startswith(start)), None)


def other_archive(names: Sequence[str]) -> tuple[str, str] | None:
    """Return what a zip archive is, told from its files' names, and what to do about it.

    None if it is one of torch.save.
    """
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        return "a TorchScript archive", "save the state_dict() of what torch.jit.load returns"
    if last & {"archive_format", "serialized_exported_program.json"}:
        return "a program of torch.export", "save the state_dict of what torch.export.load returns"
    if last and all(name.endswith(".npy") for name in last):
        return "an archive of NumPy arrays, which is not one of torch", _EXPORT
    return None
