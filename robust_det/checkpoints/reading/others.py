"""What people take for a checkpoint, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["other_archive", "other_file"]

_EXPORT = "which is not one of torch; export the weights with torch.save"
_FILES = (
    (b"<", "a web page, so its download failed; download it again"),
    (b"version https://git-lfs", "a pointer of git-lfs; fetch the file itself with 'git lfs pull'"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the checkpoint in it"),
    (b"BZh", "a bzip2 archive; unpack it and give the checkpoint in it"),
    (b"\xfd7zXZ", "an xz archive; unpack it and give the checkpoint in it"),
    (b"\x89HDF", f"an HDF5 file, {_EXPORT}"),
    (b"\x93NUMPY", f"an array of NumPy, {_EXPORT}"),
    (b"{", "a text in JSON, not a checkpoint; give the file of the weights"),
)


def other_file(head: bytes) -> str:
    """Return what a file is, told from its first 512 bytes; nothing if it may be a checkpoint."""
    if head.startswith(b"{") and b'"weight_map"' in head:
        return "the list of a checkpoint's parts; join them into one file and give that"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it and give the checkpoint in it"
    # of its fields the version comes first, then who made it, or the graph
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return "an ONNX file; give the weights that it was exported from"
    return next((what for start, what in _FILES if head.startswith(start)), "")


def other_archive(names: Sequence[str]) -> str:
    """Return what a zip archive is, told from its files' names; nothing if torch.save's."""
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        return "a TorchScript archive; save the state_dict() of what torch.jit.load returns"
    if last & {"archive_format", "serialized_exported_program.json"}:
        return "a program of torch.export; save the state_dict of what torch.export.load returns"
    if last and all(name.endswith(".npy") for name in last):
        return f"an archive of NumPy arrays, {_EXPORT}"
    return ""
