"""What is opened and what is refused by name, whatever a file is called."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from segmentation.errors import ImageError
from segmentation.images.file_types import READ, sniff
from segmentation.images.photo import open_image, open_photo

RAW = "a camera RAW file"


def padded(*parts: tuple[int, bytes], size: int = 600) -> bytes:
    data = bytearray(b"\x80\1" * (size // 2))
    for at, part in parts:
        data[at : at + len(part)] = part
    return bytes(data)


def made(form: str, **options) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 30), 99).save(file, form, **options)
    return file.getvalue()


def boxes(*brands: bytes) -> bytes:
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + bytes(60)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (made("TGA"), "a Targa picture (TGA)"),
        (made("TGA", compression="tga_rle"), "a Targa picture (TGA)"),
        (padded((12, struct.pack("<HHBB", 40, 30, 24, 0x20)), (0, b"\5\0\2" + bytes(9)))
         + b"TRUEVISION-XFILE.\0", "a Targa picture (TGA)"),
        (made("PCX"), "a PCX picture"),
        (made("ICNS"), "a macOS icon (ICNS)"),
        (made("SGI"), "an SGI picture"),
        (made("PPM"), "a PGM picture"),
        (b"P6 1 1 255\n\0\0\0", "a PPM picture"),
        (b"P4\n8 1\n\xff", "a PBM picture"),
        (b"P7\nWIDTH 1\n", "a PAM picture"),
        (b"PF\n1 1\n-1\n", "a PFM picture"),
        (made("JPEG2000"), "a JPEG 2000 picture"),
        (b"#?RADIANCE\n\n", "a Radiance HDR picture"),
        (b"#?RGBE\n", "a Radiance HDR picture"),
        (padded((128, b"DICM")), "a DICOM picture"),
        (b"SIMPLE  =                    T", "a FITS picture"),
        (padded((0, b"\x5c\1\0\0"), (344, b"n+1\0")), "a NIfTI volume"),
        (padded((0, b"\0\0\1\x5c")), "a NIfTI volume"),
        (padded((4, b"n+2\0\r\n\x1a\n")), "a NIfTI volume"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (b"\0\0\2\0\1\0" + bytes(40), "a Windows cursor (CUR)"),
        (b"\0\0\1\0\1\0" + bytes(40), "a Windows icon (ICO)"),
        (padded((0, b"\1\0\0\0"), (40, b" EMF")), "a Windows metafile (EMF)"),
        (b"\xd7\xcd\xc6\x9a" + bytes(18), "a Windows metafile (WMF)"),
        (b"\xff\xd8\xff\xf7\0\x0b", "a JPEG-LS picture"),
        (b"II\xbc\1", "a JPEG XR picture"),
        (b"RIFF\0\0\0\0ACON", "an animated Windows cursor (ANI)"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"BA" + bytes(12) + b"BM", "an OS/2 array of bitmaps"),
        (b"SDPX" + bytes(40), "a DPX picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
         "a Git LFS pointer"),
        (b"\0\5\x16\7\0\2\0\0" + bytes(40), "macOS's notes on another file (AppleDouble)"),
        (padded((257, b"ustar")), "a tar archive"),
        (boxes(b"crx ", b"crx ", b"isom"), f"{RAW} (Canon CR3)"),
        (boxes(b"isom", b"mp42"), "a video"),
        (b"II*\0\x10\0\0\0CR\2\0", f"{RAW} (Canon CR2)"),
        (b"FUJIFILMCCD-RAW 0201", f"{RAW} (Fujifilm RAF)"),
        (b"IIRO\x08\0\0\0", f"{RAW} (Olympus ORF)"),
        (b"MMOR\0\0\0\x08", f"{RAW} (Olympus ORF)"),
        (b"IIU\0\x18\0\0\0", f"{RAW} (Panasonic RW2)"),
        (b"FOVb\0\0\2\0", f"{RAW} (Sigma X3F)"),
        (b"\0MRM\0\0\0\0", f"{RAW} (Minolta MRW)"),
        (b"II\x1a\0\0\0HEAPCCDR", f"{RAW} (Canon CRW)"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named_with_a_remedy(data, kind, tmp_path):
    assert sniff(data) == kind
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        open_photo(path)
    text = str(caught.value)
    assert text.startswith(f"'photo.jpg' is {kind}, not a picture to label: ")
    remedy = "drop a JPEG, PNG, WebP, AVIF, GIF, HEIC, TIFF or BMP picture."
    if kind.startswith(RAW):
        remedy = "export it as JPEG, with the camera's program or a photo editor, and drop that."
    elif "LFS" in kind:
        remedy = "the picture itself is fetched by `git lfs pull`."
    elif "AppleDouble" in kind:
        remedy = "the picture is the file with the same name without ._ in front."
    assert text.endswith(remedy)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "MPO"])
def test_what_is_read_is_known_by_its_content(form):
    image = Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3))
    file = io.BytesIO()
    image.save(
        file, form, **({"save_all": True, "append_images": [image]} if form == "MPO" else {})
    )
    assert sniff(file.getvalue()) == ("JPEG" if form == "MPO" else form)
    assert sniff(file.getvalue()) in READ
    assert open_image(file.getvalue()).shape == (20, 20, 3)


def test_the_first_of_two_pictures_in_a_jpeg_is_the_photo():
    first, second = (Image.new("RGB", (32, 16), color) for color in ("red", "blue"))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second], quality=95)
    photo = open_photo(file.getvalue())
    assert np.abs(photo.image.astype(int) - [255, 0, 0]).max() <= 3
