"""Small ICC profiles, written byte by byte, so that every number is known."""

import struct

D50 = (0.9642, 1.0, 0.8249)
# Colorants adapted to D50, as columns (red, green, blue).
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))


def _fixed(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(space, pcs, device, tags):
    text = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50),
        **tags,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, device, space, pcs)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*D50)
    return header + bytes(128 - len(header)) + table + body


def rgb_profile(colorants=DISPLAY_P3, gamma=2.2):
    """Return an RGB profile with three colorants and one gamma."""
    tags = {}
    for letter, colorant in zip("rgb", colorants, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + _fixed(*colorant)
        tags[f"{letter}TRC".encode()] = _curve(gamma)
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags)


def gray_profile(gamma=1.0):
    """Return a grey profile with one gamma."""
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": _curve(gamma)})


def cmyk_profile(paper=(255, 128, 128), ink=(136, 208, 195), black=(0, 128, 128)):
    """Return the profile of a press whose coloured inks all print `ink` (CIELAB, 8 bits)."""
    # Cyan is the slowest of the four indices, black ink the fastest.
    grid = [black if i & 1 else ink if i else paper for i in range(16)]
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += ramp * 4 + bytes(value for lab in grid for value in lab) + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": table})
