"""Files are decoded in a process that can do nothing else: what it may not, what it answers."""

import json
import logging
import os
import platform
import signal
import struct
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.pictures.bad_inputs import IDAT, IEND, chunk, encode, pixels, png
from segmentation.errors import ImageError
from segmentation.images.decoding import decoder_process
from segmentation.images.decoding.decoder_process import Decoder, decoder
from segmentation.images.indexed_png import open_png_values
from segmentation.images.photo import open_photo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the sandbox")
ROOT = Path(__file__).resolve().parents[3]
REMEDY = "Open it in an image editor and save it as PNG or JPEG."


# What the process cannot do

HOSTILE = {
    "ask the network": "socket.socket()",
    "listen": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "use a socket that was there": "SOCKET.connect(('127.0.0.1', 9))",
    "run a program": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork()",
    "read a file": "open('/etc/hostname')",
    "write a file": "open('made', 'w')",
    "look into a folder": "os.listdir('/')",
    "remove a file": "os.unlink('there')",
    "make a folder": "os.mkdir('made')",
    "rename a file": "os.rename('there', 'made')",
    "change rights": "os.chmod('there', 0o777)",
    "end another process": "os.kill(os.getppid(), 0)",
    "take the limits away": "called('setrlimit', 0, 0)",
    "make memory with a name": "os.memfd_create('x')",
    "trace a process": "called('ptrace', 16, os.getppid(), 0, 0)",
    "read another's memory": "called('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)",
    "filter anew": "called('prctl', 22, 0, 0, 0, 0)",
}
SANDBOXED = """
import ctypes, errno, os, resource, socket, sys, threading
from segmentation.images.decoding.sandbox import Sandbox
def called(name, *arguments):
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace, LIBC.process_vm_readv, LIBC.prctl
SOCKET, FILE = socket.socket(), open("there", "wb", buffering=0)
sandbox = Sandbox()
sandbox.enter(seconds=1, memory=64 << 20)
"""


def sandboxed(code: str, folder: Path) -> subprocess.CompletedProcess:
    (folder / "there").write_bytes(b"")
    return subprocess.run(
        [sys.executable, "-c", SANDBOXED + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="no filter of calls for this machine"
)
def test_the_sandbox_refuses_what_no_decoder_needs(tmp_path):
    tried = "".join(
        f"try:\n    {code}\n    print({name!r}, 'done')\nexcept Exception as error:\n"
        f"    print({name!r}, getattr(error, 'errno', None) == errno.EPERM or repr(error))\n"
        for name, code in HOSTILE.items()
    )
    done = sandboxed(tried, tmp_path)
    assert done.stdout.splitlines() == [f"{name} True" for name in HOSTILE], done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_sandbox_bounds_files_memory_and_time(tmp_path):
    code = "try: FILE.write(b'x')\nexcept OSError as error: print(error.errno == errno.EFBIG)"
    assert sandboxed(code, tmp_path).stdout == "True\n"
    code = "try:\n    bytearray(8 << 30)\nexcept MemoryError:\n    print('refused')\n"
    assert sandboxed(code, tmp_path).stdout == "refused\n"
    assert sandboxed("while True: pass", tmp_path).returncode == -signal.SIGXCPU


def test_the_sandbox_lets_decoders_compute_with_threads(tmp_path):
    code = "t = threading.Thread(target=print, args=('there',)); t.start(); t.join()"
    assert sandboxed(code, tmp_path).stdout == "there\n"


# What is answered


def tiff_directory() -> bytes:
    """20,000 fields that all are the same 240 kB: 4.8 GB."""
    fields = [(256, 8), (257, 8), (258, 8), (259, 7), (262, 1), (273, 8), (277, 1), (279, 8)]
    known = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    many = b"".join(struct.pack("<HHII", 40_000 + i, 7, 240_000, 8) for i in range(20_000))
    return b"II*\0" + struct.pack("<IH", 8, 20_008) + known + many + bytes(4)


def exif_claims() -> bytes:
    many = b"".join(struct.pack("<HHII", 40_000 + i, 7, 60_000, 8) for i in range(5_000))
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 5_000) + many + bytes(4)
    jpeg = encode("jpeg")
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def scans() -> bytes:
    """4 megapixels with 60 scans that hold nothing."""
    file = BytesIO()
    Image.new("RGB", (2000, 2000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * 60 + b"\xff\xd9"


def run_lengths() -> bytes:
    file = BytesIO()
    Image.new("P", (2000, 2500)).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[30] = 1
    return bytes(data)


def gif_blocks() -> bytes:
    gif = encode("gif")
    at = gif.index(b",", 13 + 768)
    return gif[:at] + b"!\xfe\1a\0" * 200_000 + gif[at:]


STRIPS = struct.pack("<IHHHII", 8, 1, 273, 4, 4_000_000, 8) + bytes(16_000_000)
COSTLY = {
    "tiff directory": (tiff_directory, "cannot be decoded: it is damaged"),
    "tiff strips": (lambda: b"II*\0" + STRIPS, "does not say what its samples mean"),
    "odd ppm": (lambda: b"P3 2000 2000 255\n" + b"1 " * 500_000, "a PPM picture, not a picture to"),
    "jpeg fill bytes": (lambda: b"\xff\xd8" + b"\xff" * 3_000_000, "cannot be decoded: it is dam"),
    "jpeg junk": (lambda: b"\xff\xd8\xff" + bytes(3_000_000), "cannot be decoded: it is damaged"),
    "jpeg comments": (lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 700_000, "is cut short"),
    "jpeg exif": (exif_claims, (37, 53)),
    "jpeg scans": (scans, (2000, 2000)),
    "png chunks": (lambda: png(chunk(b"abCd", b"") * 200_000, IDAT, IEND), (8, 8)),
    "gif blocks": (gif_blocks, (37, 53)),
    "bmp run lengths": (run_lengths, (2500, 2000)),
}


def megabytes(key: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024


@pytest.mark.parametrize("name", COSTLY)
def test_what_a_file_costs_it_does_not_cost_this_process(name):
    make, expected = COSTLY[name]
    data = make()
    assert len(data) < 17_000_000
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = megabytes("VmRSS")
    if isinstance(expected, tuple):
        assert open_photo(data).image.shape == (*expected, 3)
    else:
        with pytest.raises(ImageError, match=expected):
            open_photo(data)
    assert megabytes("VmHWM") - before < 64 + 2 * len(data) / 1e6


def test_a_file_that_takes_too_long_is_told_so_and_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(decoder_process, "SECONDS", 1)
    monkeypatch.setattr(decoder_process, "SECONDS_PER_MEGAPIXEL", 0)
    found = []

    def ask():
        with pytest.raises(ImageError) as caught:
            open_photo(b"\xff\xd8" + b"\xff" * 30_000_000)  # looked at one by one
        found.append(str(caught.value))

    other = threading.Thread(target=ask)
    other.start()
    np.testing.assert_array_equal(open_photo(encode("png")).image, pixels())
    assert not found
    other.join()
    assert found == [
        "This file takes more than 1 seconds to decode, which no usual picture of its size does. "
        + REMEDY
    ]


def test_label_files_are_decoded_there_too(monkeypatch):
    monkeypatch.setattr(decoder_process, "MEMORY", 1 << 20)
    monkeypatch.setattr(decoder_process, "MEMORY_PER_PIXEL", 0)
    file = BytesIO()
    Image.new("P", (6000, 6000)).save(file, "PNG")
    with pytest.raises(ImageError, match="takes more than 1 MB of memory to decode"):
        open_png_values(file.getvalue(), "P")


# The answers of a process that somebody has taken over

GOOD = {"shape": [2, 3, 3], "notes": ["n"]}
LIES = {
    "no json": b"{",
    "a list": b"[1]",
    "lists in lists": b"[" * 3900,
    "nothing said": {},
    "no numbers": {**GOOD, "shape": ["a", "b"]},
    "one number": {**GOOD, "shape": [3]},
    "below zero": {**GOOD, "shape": [-2, -3, 3]},
    "too large": {**GOOD, "shape": [1 << 40, 1, 3]},
    "many bands": {**GOOD, "shape": [2, 3, 9]},
    "infinite": b'{"shape": [Infinity, 2, 3], "notes": []}',
    "pixels missing": {**GOOD, "shape": [9, 9, 3]},
    "a note that is none": {**GOOD, "notes": [7]},
    "a note for terminals": {**GOOD, "notes": ["\x1b[2J"]},
    "an error for terminals": {"error": "\x1b[2J"},
    "an error of megabytes": {"error": "x" * 5000},
}


def believed(told: bytes | dict, rest: bytes) -> decoder_process.Decoded:
    line = told if isinstance(told, bytes) else json.dumps(told).encode()
    limits = decoder_process._Limits(3, 1 << 27)
    return decoder_process._read_result("This file", line, BytesIO(rest), limits, 1000)


def test_an_honest_answer_is_believed():
    decoded = believed(GOOD, bytes(range(18)))
    np.testing.assert_array_equal(decoded.pixels, np.arange(18).reshape(2, 3, 3))
    assert decoded.notes == ("n",)
    with pytest.raises(ImageError, match=r"^This file is odd\.$"):
        believed({"error": "This file is odd."}, b"")
    with pytest.raises(ImageError, match=r"something ended its decoder\. Try again"):
        believed({"died": "killed"}, b"")


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_an_image_error(name):
    with pytest.raises(ImageError, match=f"^This file cannot be decoded: it is damaged. {REMEDY}"):
        believed(LIES[name], bytes(range(18)))


# The process itself


def test_it_has_neither_torch_nor_secrets_and_each_file_its_own(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    own = Decoder()
    try:
        own.start()
        own.decode("x", encode("jpeg"), 64.0)
        pid = own.pid
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in maps
        assert "_imaging" in maps
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        children = Path(f"/proc/{pid}/task/{pid}/children")
        until = time.monotonic() + 10
        while children.exists() and children.read_text() and time.monotonic() < until:
            time.sleep(0.01)
        assert not (children.exists() and children.read_text())
    finally:
        own.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_it_comes_back_when_something_has_ended_it():
    open_photo(encode("png"))
    decoder._child.process.kill()
    decoder._child.process.wait()
    np.testing.assert_array_equal(open_photo(encode("png")).image, pixels())


def test_where_it_cannot_start_files_are_decoded_here_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    own = Decoder()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = own.decode("x", encode("png"), 64.0)
            np.testing.assert_array_equal(found.pixels, pixels())
    assert len(caplog.records) == 1
    own.stop()


def test_it_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import os, sys\n"
        "from segmentation.images.photo import open_photo\n"
        "from segmentation.images.decoding.decoder_process import decoder\n"
        "open_photo(sys.argv[1])\n"
        "print(decoder.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "photo.png"
    path.write_bytes(encode("png"))
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    status = Path(f"/proc/{int(done.stdout)}/stat")

    def lives() -> bool:
        try:
            return status.read_text().rpartition(") ")[2][0] not in "ZX"
        except OSError:
            return False

    until = time.monotonic() + 10
    while lives() and time.monotonic() < until:
        time.sleep(0.02)
    assert not lives()


def test_importing_starts_nothing():
    code = (
        "import segmentation.images.photo; "
        "from segmentation.images.decoding.decoder_process import decoder; print(decoder.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"
