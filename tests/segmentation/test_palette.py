"""Palettes, colours and back, indexed PNG files."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from segmentation.categories import VOC_CATEGORIES, display_name
from segmentation.errors import ImageError, ModelError, PaletteError
from segmentation.images.indexed_png import read_indexed_png, write_indexed_png
from segmentation.palette import (
    PALETTES,
    colorize,
    decode,
    palette_from_card,
    safe_palette,
    voc_palette,
)

# As published with the VOC development kit, indices 0 to 20.
VOC_21 = [
    *([0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]),
    *([0, 128, 128], [128, 128, 128], [64, 0, 0], [192, 0, 0], [64, 128, 0], [192, 128, 0]),
    *([64, 0, 128], [192, 0, 128], [64, 128, 128], [192, 128, 128], [0, 64, 0], [128, 64, 0]),
    *([0, 192, 0], [128, 192, 0], [0, 64, 128]),
]

# Linear sRGB as dichromats see it: Vienot, Brettel and Mollon 1999 for red and green blindness,
# Machado, Oliveira and Fernandes 2009 (severity 1) for all three.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia (Vienot)": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia (Vienot)": [[0.29275, 0.70725, 0]] * 2 + [[-0.02234, 0.02234, 1]],
    "protanopia (Machado)": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia (Machado)": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia (Machado)": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(palette, matrix):
    """CIELAB (D65) of sRGB colours as seen through a matrix on linear light."""
    encoded = palette / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(matrix).T).clip(0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    t = seen @ np.array(to_xyz).T / [0.95047, 1.0, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def distances(palette, matrix):
    points = lab(palette.astype(float), matrix)
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


# Classes that photos show together, those of `examples/` among them.
TOGETHER = {
    "people and animals": ("person cat dog horse cow sheep sofa", 22),
    "in a room": ("person cat dog bird chair diningtable sofa pottedplant tvmonitor bottle", 19),
    "on a street": ("person bicycle bus car motorbike train dog horse", 19),
    "in the country": ("person horse cow sheep bird dog car boat", 19),
    "at a port": ("person aeroplane boat bird car train bus", 19),
}


def test_voc_palette_is_the_published_one():
    palette = voc_palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert palette[:21].tolist() == VOC_21
    assert palette[255].tolist() == [224, 224, 192]


@pytest.mark.parametrize("name", PALETTES)
def test_all_entries_differ_and_background_is_black(name):
    palette = PALETTES[name]()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert len(np.unique(palette, axis=0)) == 256
    assert palette[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("vision", VISION)
def test_safe_palette_stays_apart_for_every_kind_of_vision(vision):
    found = distances(safe_palette()[:21], VISION[vision])
    voc = distances(voc_palette()[:21], VISION[vision])
    pairs = np.triu_indices(21, 1)
    # 12.7 is the measured least; VOC's first 21 fall to 0.9 to 2.1 for colour-blind eyes.
    assert found[pairs].min() >= 12
    if vision != "normal":
        assert voc[pairs].min() < 3
    for names, least in TOGETHER.values():
        few = [VOC_CATEGORIES.index(name) for name in names.split()]
        some = found[np.ix_(few, few)][np.triu_indices(len(few), 1)]
        assert some.min() >= least, names


def test_safe_palette_is_bright():
    lightness = lab(safe_palette()[1:21].astype(float), VISION["normal"])[:, 0]
    assert lightness.min() >= 49  # VOC's cat has 11, its dog 19
    assert lightness.max() <= 95  # and none is as good as white


def test_categories_are_torchvisions():
    from torchvision.models.segmentation import DeepLabV3_ResNet101_Weights

    assert list(VOC_CATEGORIES) == DeepLabV3_ResNet101_Weights.DEFAULT.meta["categories"]


@pytest.mark.parametrize(
    ("category", "shown"),
    [
        ("__background__", "background"),
        ("diningtable", "dining table"),
        ("tvmonitor", "TV monitor"),
        ("pottedplant", "potted plant"),
        ("cat", "cat"),
        ("road surface", "road surface"),
    ],
)
def test_names_for_people(category, shown):
    assert display_name(category) == shown


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_colours_and_back(name, dtype, rng):
    palette = PALETTES[name]()
    class_map = rng.integers(0, 256, (31, 17)).astype(dtype)
    colors = colorize(class_map, palette)
    assert colors.shape == (31, 17, 3)
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(colors[3, 5], palette[class_map[3, 5]])
    back = decode(colors, palette)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, class_map)


def test_an_empty_class_map_has_no_colours():
    assert colorize(np.zeros((0, 4), np.uint8), voc_palette()).shape == (0, 4, 3)
    assert decode(np.zeros((0, 4, 3), np.uint8), voc_palette()).shape == (0, 4)


def test_views_are_taken_as_they_are(rng):
    class_map = rng.integers(0, 21, (12, 10), dtype=np.uint8)[::-2, ::3]
    colors = colorize(class_map, voc_palette())
    np.testing.assert_array_equal(decode(colors[:, ::-1], voc_palette()), class_map[:, ::-1])


def test_decode_takes_the_lower_of_two_equal_colours():
    palette = np.array([[1, 2, 3], [9, 9, 9], [1, 2, 3]], np.uint8)
    assert decode(palette[None], palette).tolist() == [[0, 1, 0]]


def test_an_unknown_colour_is_named_with_its_first_pixel():
    colors = colorize(np.zeros((900, 700), np.uint8), voc_palette())
    colors[801, 7] = [1, 171, 255]
    colors[802, 1] = [3, 3, 3]
    with pytest.raises(PaletteError, match=r"Colour #01abff at pixel \(y=801, x=7\)"):
        decode(colors, voc_palette())


def test_black_is_unknown_to_a_palette_without_it():
    with pytest.raises(PaletteError, match=r"#000000 at pixel \(y=0, x=0\)"):
        decode(np.zeros((1, 1, 3), np.uint8), np.full((1, 3), 7, np.uint8))


@pytest.mark.parametrize(
    ("class_map", "words"),
    [
        (np.zeros((2, 2, 3), np.uint8), r"\(2, 2, 3\) uint8"),
        (np.zeros((2, 2), np.float32), r"\(2, 2\) float32"),
        (np.zeros((2, 2), bool), r"\(2, 2\) bool"),
        ([[0]], "list"),
        (np.array([[0, 1], [2, 3]]), r"Index 3 at pixel \(y=1, x=1\) .* ends at 2"),
        (np.array([[0, -1]]), r"Index -1 at pixel \(y=0, x=1\)"),
        (np.array([[0, 255]], np.uint8), r"Index 255 at pixel \(y=0, x=1\)"),
    ],
)
def test_class_maps_that_do_not_fit_are_refused(class_map, words):
    palette = np.zeros((3, 3), np.uint8)
    with pytest.raises(PaletteError, match=words):
        colorize(class_map, palette)
    with pytest.raises(PaletteError, match=words):
        write_indexed_png(class_map, palette)


@pytest.mark.parametrize(
    "palette", [np.zeros((3, 4), np.uint8), np.zeros((257, 3), np.uint8), np.zeros((3, 3)), [0]]
)
def test_palettes_of_a_wrong_shape_are_refused(palette):
    with pytest.raises(PaletteError, match="A palette is"):
        colorize(np.zeros((1, 1), np.uint8), palette)
    with pytest.raises(PaletteError, match="A palette is"):
        decode(np.zeros((1, 1, 3), np.uint8), palette)


def test_colours_of_a_wrong_shape_are_refused():
    for colors in (np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3)), np.zeros((2, 3), np.uint8)):
        with pytest.raises(PaletteError, match="Colours must be"):
            decode(colors, voc_palette())


# Indexed PNG


@pytest.mark.parametrize("name", PALETTES)
def test_an_indexed_png_shows_colours_and_keeps_indices(name, rng, tmp_path):
    palette = PALETTES[name]()
    class_map = rng.integers(0, 256, (23, 41), dtype=np.uint8)
    data = write_indexed_png(class_map, palette)
    path = tmp_path / "labels.png"
    path.write_bytes(data)
    image = Image.open(path)
    assert (image.mode, image.size) == ("P", (41, 23))
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[class_map])
    np.testing.assert_array_equal(read_indexed_png(data), class_map)
    np.testing.assert_array_equal(read_indexed_png(path), class_map)


def test_an_indexed_png_has_8_bits_a_full_palette_and_nothing_else():
    data = write_indexed_png(np.zeros((3, 2), np.int64), np.array([[5, 6, 7]], np.uint8))
    kinds, at = [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        kinds.append((kind, length))
        at += 12 + length
    assert [kind for kind, _ in kinds] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert kinds[1][1] == 768
    assert data[24:26] == b"\x08\x03"
    assert Image.open(io.BytesIO(data)).convert("RGB").getpixel((1, 2)) == (5, 6, 7)


def test_an_empty_class_map_is_no_png():
    with pytest.raises(PaletteError, match="empty class map"):
        write_indexed_png(np.zeros((0, 3), np.uint8), voc_palette())


def test_indexed_pngs_of_fewer_bits_and_with_transparency_read_as_stored():
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 9, 9, 9, 8, 8, 8, 7, 7, 7])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=2, transparency=1)
    assert read_indexed_png(buffer.getvalue()).tolist() == [[0, 1, 2, 3]]


def test_other_pictures_have_no_indices():
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="mode L with 8 bits; mode P"):
        read_indexed_png(buffer.getvalue())


@pytest.mark.shared
def test_vocs_own_annotations_read_back_with_vocs_own_colours(shared):
    for path in sorted((shared / "photos/val/SegmentationClass").glob("*.png"))[:5]:
        class_map = read_indexed_png(path)
        colors = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(colorize(class_map, voc_palette()), colors)
        np.testing.assert_array_equal(decode(colors, voc_palette()), class_map)


# A model's own palette


def test_a_card_may_name_a_palette():
    np.testing.assert_array_equal(palette_from_card("voc", 21), voc_palette())
    np.testing.assert_array_equal(palette_from_card("safe", 256), safe_palette())


def test_a_card_may_list_colours_and_the_rest_is_filled_with_others():
    palette = palette_from_card([[128, 0, 0], (1, 2, 3)], 2)
    assert palette[:2].tolist() == [[128, 0, 0], [1, 2, 3]]
    assert palette.shape == (256, 3)
    assert len(np.unique(palette, axis=0)) == 256
    assert palette[2].tolist() == [0, 0, 0]
    assert palette[3].tolist() == [0, 128, 0]


def test_a_card_may_list_more_colours_than_classes():
    assert palette_from_card(voc_palette().tolist(), 19).tolist() == voc_palette().tolist()


@pytest.mark.parametrize(
    ("palette", "num_classes", "words"),
    [
        ("cityscapes", 2, 'the palette "cityscapes"; use "voc", "safe"'),
        (None, 2, "NoneType, not a name or a list"),
        ({"0": [0, 0, 0]}, 1, "dict"),
        ([[0, 0, 0]], 2, "1 colours for 2 classes"),
        ([[i, 0, 0] for i in range(256)] + [[0, 1, 0]], 2, "257 colours"),
        ([[0, 0, 0], [0, 0]], 2, r"Colour 1 of the card's palette is \[0, 0\]"),
        ([[0, 0, 0], [0, 0, 256]], 2, r"Colour 1 .*256"),
        ([[0, 0, 0], [0, 0, -1]], 2, r"Colour 1 .*-1"),
        ([[0, 0, 0], [0, 0, 0.5]], 2, r"Colour 1 .*0\.5"),
        ([[0, 0, 0], [0, 0, True]], 2, "Colour 1 .*True"),
        ([[0, 0, 0], "red"], 2, "Colour 1 .*'red'"),
        ("voc", 0, "0 classes"),
        ("voc", 257, "257 classes"),
    ],
)
def test_a_card_with_an_unusable_palette_is_refused(palette, num_classes, words):
    with pytest.raises(ModelError, match=words):
        palette_from_card(palette, num_classes)


def test_classes_of_one_colour_are_taken():
    palette = palette_from_card([[9, 8, 7], [0, 0, 0], [9, 8, 7]], 3)
    assert palette[:3].tolist() == [[9, 8, 7], [0, 0, 0], [9, 8, 7]]
    assert len({tuple(color) for color in palette.tolist()}) == 255  # the rest are distinct
    png = write_indexed_png(np.array([[0, 1, 2]], np.uint8), palette)
    assert read_indexed_png(png).tolist() == [[0, 1, 2]]  # the file keeps the classes apart
