"""Recognise files that hold no PyTorch weights, so that error messages can name them."""

import contextlib
import re
import tarfile
import zipfile
from pathlib import Path

_HEAD_BYTES = 4096
_SAVE = "save network.state_dict() with torch.save"
_EXPORT = "a network of another library cannot be read; rebuild it in PyTorch and " + _SAVE

# first bytes of a file -> kind
_FIRST_BYTES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file: fetch it with git lfs pull"),
    (b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras writes (.h5): {_EXPORT}"),
    (b"\x93NUMPY", f"a NumPy array (.npy): {_SAVE}"),
    (b"GGUF", f"a GGUF file: {_SAVE}"),
    (b"\x1f\x8b", "packed with gzip: unpack it"),
    (b"BZh", "packed with bzip2: unpack it"),
    (b"\xfd7zXZ", "packed with xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program for Linux"),
    (b"MZ", "a program for Windows"),
)
_PAGE_MARKS = ("<!doctype html", "<html", "<head", "<body", "<script")
# name of an entry in a zip archive -> kind of the archive
_ZIP_PARTS: tuple[tuple[str, str], ...] = (
    (r"(^|/)constants\.pkl$", f"a TorchScript program: {_SAVE}, or export a .pt2"),
    (r"(^|/)(models/model\.json|archive_format)$", "an exported program: name it with --model"),
    (r"(^|/)model\.weights\.h5$", f"a Keras model (.keras): {_EXPORT}"),
    (r"\.npy$", f"a NumPy archive (.npz): {_SAVE}"),
    (r"(^|/)Manifest\.json$", f"a Core ML package: {_EXPORT}"),
    (r"\.(pth|pt|ckpt)$", "a zip archive with weights inside: unpack it"),
)
_ENDINGS = {
    ".onnx": f"an ONNX network: {_EXPORT}",
    ".tflite": f"a TensorFlow Lite network: {_EXPORT}",
    ".pb": f"a TensorFlow graph: {_EXPORT}",
    ".mlmodel": f"a Core ML network: {_EXPORT}",
    ".caffemodel": f"a Caffe network: {_EXPORT}",
    ".params": f"weights of MXNet: {_EXPORT}",
    ".pdparams": f"weights of PaddlePaddle: {_EXPORT}",
}
_SAFETENSORS = (
    "a safetensors file: load it with safetensors.torch.load_file and save the result with "
    "torch.save"
)


def name_kind(path: Path) -> str | None:
    """Return the kind of a file with a remedy, or None if it may be a PyTorch file.

    Reads only the beginning of the file, and the entry names of an archive.

    Args:
        path: A file or folder that exists.

    Returns:
        Text to follow "it is".

    Raises:
        OSError: The file cannot be read.
    """
    if path.is_dir():
        return "a folder: name the file of weights in it"
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip(b"\0"):
        return "empty" if not head else "nothing but zeros, as a broken-off download leaves it"
    if head.startswith(b"PK"):
        return _zip_kind(path)
    for start, kind in _FIRST_BYTES:
        if head.startswith(start):
            return kind
    if head[4:8] == b"TFL3":
        return _ENDINGS[".tflite"]
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000:
        return _SAFETENSORS
    return _text_kind(head) or _onnx_kind(head, path) or _tar_kind(path)


def _zip_kind(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # other code reports broken archives
    if any(name.endswith("data.pkl") for name in names) and not any(
        name.endswith("constants.pkl") for name in names
    ):
        return None
    for pattern, kind in _ZIP_PARTS:
        if any(re.search(pattern, name) for name in names):
            return kind
    return f"a zip archive without weights: {_SAVE}"


def _text_kind(head: bytes) -> str | None:
    """Recognise text: error pages of servers, notes, settings."""
    try:
        text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # the last character may be cut
            return None
        text = head[: error.start].decode("utf-8-sig")
    if not all(c.isprintable() or c in "\r\n\t\f" for c in text):
        return None
    start = text.lstrip().lower()
    if any(mark in start for mark in _PAGE_MARKS):
        return "a web page, not the file that it links to: fetch that file itself"
    if start.startswith("<"):
        return "an XML text, as servers answer where there is no such file: fetch it again"
    if start.startswith(("{", "[")):
        return "a JSON text: name the file of weights that belongs to it"
    return f"a text of {len(head)} bytes{' or more' if len(head) == _HEAD_BYTES else ''}"


def _onnx_kind(head: bytes, path: Path) -> str | None:
    """Recognise ONNX, which has no magic number: field 1 is a version, field 2 the producer."""
    is_model = head[0] == 0x08 and head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x3A)
    if is_model and path.suffix.lower() not in _ENDINGS:
        return _ENDINGS[".onnx"]
    # these formats have no reliable magic number; 0x80 begins a pickle
    return None if head[:1] == b"\x80" else _ENDINGS.get(path.suffix.lower())


def _tar_kind(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        if tarfile.is_tarfile(path):
            return "a tar archive: unpack it"
    return None
