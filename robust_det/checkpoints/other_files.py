"""What people take for a checkpoint, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

__all__ = ["REPACK", "UNPACK", "UNPACKED", "other_archive", "other_file", "other_folder"]

UNPACK = "unpack it and give the checkpoint in it"
UNPACKED = "of a checkpoint that was unpacked"
REPACK = "pack the folder of data.pkl again, without compression: zip -0 -r model.pth FOLDER"
_WEIGHTS = "give the file of the weights"
_EXPORT = "export the weights with torch.save"
_FILES = (
    (b"<", "a web page, so its download failed", "download it again"),
    (
        b"version https://git-lfs",
        "a pointer of git-lfs",
        "fetch the file itself with 'git lfs pull'",
    ),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"GGUF", "a GGUF file, which is not one of torch", _EXPORT),
    (b"MATLAB ", "a file of MATLAB, which is not one of torch", _EXPORT),
    (b"\x89PNG", "a picture, not a checkpoint", _WEIGHTS),
    (b"\xff\xd8\xff", "a picture, not a checkpoint", _WEIGHTS),
    (b"%PDF", "a text in PDF, not a checkpoint", _WEIGHTS),
    (b"\x89HDF", "an HDF5 file, which is not one of torch", _EXPORT),
    (b"\x93NUMPY", "an array of NumPy, which is not one of torch", _EXPORT),
    (b"{", "a text in JSON, not a checkpoint", _WEIGHTS),
)
# how the names of files end that may be checkpoints
_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pkl", ".tar", ".best")
# beside the weights, what training goes on from
_TRAINING = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states")
_JOIN = (
    "join its parts with python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER"
    " model.pth, and give that"
)
_DCP = "a checkpoint in parts, of torch.distributed.checkpoint"


def other_file(path: Path, head: bytes) -> tuple[str, str] | None:
    """Return what a file is, told from its first 512 bytes, and what to do about it.

    None if it may be a checkpoint.
    """
    # these begin as what torch.save writes: the parts are told by their names alone
    if path.suffix == ".distcp" or path.name == ".metadata":
        return f"part of {_DCP}", _JOIN
    if path.name == "data.pkl" and (path.parent / "data").is_dir():
        return f"part {UNPACKED}", REPACK
    if head.startswith(b"{") and b'"weight_map"' in head:
        return "the list of a checkpoint's parts", "join them into one file and give that"
    if head[257:262] == b"ustar":
        return "a tar archive", UNPACK
    if head[4:8] == b"TFL3":
        return "a model of TensorFlow Lite, which is not one of torch", _EXPORT
    # of its fields the version comes first, then who made it, or the graph
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return "an ONNX file", "give the weights that it was exported from"
    # an editor's mark and blanks may come before a text
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, what, advice in _FILES:
        if head.startswith(start) or (start in (b"<", b"{") and text.startswith(start)):
            return what, advice
    return None


def other_archive(names: Collection[str]) -> tuple[str, str] | None:
    """Return what a zip archive is, told from its files' names, and what to do about it.

    None if it is one of torch.save.
    """
    last = [name.rpartition("/")[2] for name in names]
    if "constants.pkl" in last:
        return "a TorchScript archive", "save the state_dict() of what torch.jit.load returns"
    if {"archive_format", "serialized_exported_program.json"} & {*last}:
        return "a program of torch.export", "save the state_dict of what torch.export.load returns"
    if last.count("data.pkl") == 1 or not last:
        return None
    if "data.pkl" in last:
        return f"an archive of {last.count('data.pkl')} checkpoints", "unpack it and give one"
    if all(name.endswith(".npy") for name in last):
        return "an archive of NumPy arrays, which is not one of torch", _EXPORT
    if "model.weights.h5" in last:
        return "a model of Keras, which is not one of torch", _EXPORT
    if "extern_modules" in last:
        return "an archive of torch.package", "save the state_dict() of the network in it"
    if inside := [name for name in names if name.endswith(_SUFFIXES)]:
        more = f" and {len(inside) - 1} more" if len(inside) > 1 else ""
        return f"a zip archive with {inside[0]}{more} in it", "unpack it and give that"
    return "a zip archive without a checkpoint in it", _WEIGHTS


def other_folder(path: Path) -> tuple[str, str]:
    """Return what a folder is, told from the names in it, and what to do about it."""
    names = sorted(os.listdir(path))
    if "data.pkl" in names or any(path.glob("*/data.pkl")):
        return f"the folder {UNPACKED}", REPACK
    if ".metadata" in names or any(name.endswith(".distcp") for name in names):
        return f"the folder of {_DCP}", _JOIN.replace("FOLDER", str(path))
    states = "*_optim_states.pt"
    if "zero_to_fp32.py" in names or any(path.glob(states)) or any(path.glob(f"*/{states}")):
        return (
            "the folder of a checkpoint of DeepSpeed",
            "join its parts with the zero_to_fp32.py in it, and give the file that this writes",
        )
    if "saved_model.pb" in names or any(".data-00000-of-" in name for name in names):
        return "the folder of a model of TensorFlow, which is not one of torch", _EXPORT
    if inside := [name for name in names if name.endswith(_SUFFIXES)]:
        best = max(inside, key=lambda name: (not name.startswith(_TRAINING), name))
        return "a folder, not a checkpoint", f"give a file in it, such as {best}"
    return "a folder, not a checkpoint", "give a file"
