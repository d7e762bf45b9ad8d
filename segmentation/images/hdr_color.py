"""Recognise HDR and wide-gamut clips, and make the colour table that converts them to sRGB.

Phones record HLG or PQ in BT.2020 primaries. Read as sRGB they look pale, to the network too.
FFmpeg's `lut3d`, which every build has, applies the table.

Sources: HLG and PQ, and the primaries of BT.2020: ITU-R BT.2100 and BT.2020; diffuse white at 203
cd/m2, which is 75 % HLG and 58 % PQ: ITU-R BT.2408, 5.1; Display P3: SMPTE EG 432-1; sRGB: IEC
61966-2-1; the curve of BT.2020 is that of BT.709 (its table 4).
"""

import re
from typing import NamedTuple

import numpy as np

from segmentation.errors import VideoError

POINTS = 65
"""Points of the table along each colour; FFmpeg interpolates. With 65, PQ's grays are off by 1.2 of
255 at most; with 33, by 4.7."""

WHITE_NITS = 203.0
KNEE = 0.9
"""Light up to this share of white stays; brighter light is compressed into the rest."""

PQ, HLG = "smpte2084", "arib-std-b67"
_NAMES = {PQ: "PQ", HLG: "HLG"}
_WIDE = {"bt2020": "BT.2020", "smpte432": "Display P3", "smpte431": "DCI-P3"}
_MATRICES = {"bt2020nc": "bt2020", "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470bg"}
_ODD_MATRICES = ("bt2020c", "ictcp", "ipt-c2", "ycgco-re", "ycgco-ro")

# Linear RGB of these primaries, as columns of red, green and blue, to XYZ; white is D65.
_TO_XYZ = {
    "bt2020": [
        [0.636958, 0.144617, 0.168881],
        [0.262700, 0.677998, 0.059302],
        [0.000000, 0.028073, 1.060985],
    ],
    "smpte432": [
        [0.486571, 0.265668, 0.198217],
        [0.228975, 0.691739, 0.079287],
        [0.000000, 0.045113, 1.043944],
    ],
    "bt709": [
        [0.412391, 0.357584, 0.180481],
        [0.212639, 0.715169, 0.072192],
        [0.019331, 0.119195, 0.950532],
    ],
}


class Colour(NamedTuple):
    """A clip's colour space in FFmpeg's names; "unknown" where the clip does not name it."""

    matrix: str = "unknown"
    primaries: str = "unknown"
    transfer: str = "unknown"
    bits: int = 8
    dolby: bool = False  # Dolby Vision that cannot be shown without Dolby's own data


UNKNOWN_COLOUR = Colour()


class Conversion(NamedTuple):
    """The source of a conversion to sRGB, and a note for the user."""

    matrix: str
    primaries: str
    transfer: str
    note: str

    def filters(self) -> list[str]:
        """Return FFmpeg's filters, which read "to_srgb.cube" in the working folder."""
        return [
            f"scale=in_color_matrix={self.matrix}:out_range=pc",
            "format=gbrp16le",
            "lut3d=file=to_srgb.cube:interp=tetrahedral",
        ]

    def table(self) -> str:
        """Return the table as a Cube file (Adobe's specification 1.0)."""
        steps = np.linspace(0, 1, POINTS)
        blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
        signal = np.stack([red, green, blue], -1).reshape(-1, 3)  # red changes quickest
        values = to_srgb(signal, self.primaries, self.transfer)  # (POINTS ** 3, 3)
        rows = "\n".join(f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in values.tolist())
        return f"LUT_3D_SIZE {POINTS}\n{rows}\n"


def parse_colour(messages: str, video: str) -> Colour:
    """Parse the colour space from what FFmpeg prints about its input.

    Args:
        messages: All of the output.
        video: The line of the video stream.
    """
    match = re.search(r", (\w+)\(([^()]*)\)", video.partition(": Video: ")[2])
    pixel_format, details = match.groups() if match else ("", "")
    depth = re.search(r"p0?(10|12|14|16)(?:le|be)?$", pixel_format)
    names = next((part for part in details.split(", ") if "/" in part), "")
    matrix, primaries, transfer = names.split("/") if names.count("/") == 2 else ["unknown"] * 3
    dolby = re.search(r"DOVI configuration record:.* profile: 5\b", messages) is not None
    return Colour(matrix, primaries, transfer, int(depth[1]) if depth else 8, dolby)


def conversion(colour: Colour) -> Conversion | None:
    """Return how a clip's colours are converted to sRGB; None where they need no conversion.

    BT.2020 with 10 bits and an unknown transfer is taken for HLG, as phones record it.

    Raises:
        VideoError: A colour space that cannot be converted.
    """
    wide = "bt2020" in (colour.primaries, colour.matrix[:6])
    transfer = colour.transfer
    guessed = wide and transfer in ("unknown", "reserved") and colour.bits >= 10
    transfer = HLG if guessed else transfer
    if colour.dolby or colour.matrix in _ODD_MATRICES:
        name = "Dolby Vision, profile 5" if colour.dolby else colour.matrix
        raise VideoError(
            f"This clip is HDR of a kind ({name}) that is not converted here. "
            "Save it as SDR (Rec. 709)."
        )
    if transfer in _NAMES:
        primaries = colour.primaries if colour.primaries in _WIDE else "bt2020"
        name = "taken for HDR" if guessed else "HDR"
        note = f"{name} ({_NAMES[transfer]}), shown as SDR"
    elif wide or colour.primaries in _WIDE:
        primaries = "bt2020" if wide else colour.primaries
        note = f"its colours ({_WIDE[primaries]}) are shown as sRGB"
    else:
        return None
    return Conversion(_MATRICES.get(colour.matrix, "bt2020"), primaries, transfer, note)


def to_srgb(signal: np.ndarray, primaries: str, transfer: str) -> np.ndarray:
    """Convert R'G'B' to sRGB, both (N, 3) in 0 to 1.

    Args:
        signal: R'G'B'.
        primaries: "bt2020", "smpte432" or "smpte431".
        transfer: `PQ` or `HLG`; any other is taken as BT.2020's and left as it is.
    """
    return encoded(shown_light(light_of(signal, transfer), primaries, transfer), transfer)


def light_of(signal: np.ndarray, transfer: str) -> np.ndarray:
    """Convert a signal in 0 to 1 to linear light, in which diffuse white is 1.

    HLG is converted to the light of the scene: its system gamma is 1 for a screen of 334 cd/m2
    (BT.2100, note 5f), about as bright as screens that show SDR.
    """
    if transfer == PQ:
        return _pq_nits(signal) / WHITE_NITS
    if transfer == HLG:
        return _hlg_light(signal) / _hlg_light(np.array(0.75))
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))


def shown_light(light: np.ndarray, primaries: str, transfer: str) -> np.ndarray:
    """Convert linear light (N, 3) in these primaries to that of an sRGB screen, in 0 to 1."""
    source = np.array(_TO_XYZ["bt2020" if primaries == "bt2020" else "smpte432"])
    matrix = np.linalg.inv(np.array(_TO_XYZ["bt709"])) @ source
    light = np.maximum(light @ matrix.T.astype(light.dtype), 0)  # (N, 3)
    if transfer in _NAMES:
        peak = light.max(-1)
        bright = peak > KNEE
        peak = peak[bright, None]
        compressed = KNEE + (1 - KNEE) * (1 - np.exp((KNEE - peak) / (1 - KNEE)))
        light[bright] *= compressed / peak
    return light.clip(0, 1)


def encoded(light: np.ndarray, transfer: str) -> np.ndarray:
    """Convert a screen's linear light to its signal, both in 0 to 1."""
    if transfer in _NAMES:
        return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    # the inverse of `light_of`, so that grays do not change, as in clips of BT.709
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)


def _pq_nits(signal: np.ndarray) -> np.ndarray:
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_light(signal: np.ndarray) -> np.ndarray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
