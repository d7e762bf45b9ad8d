import dataclasses
import json

import numpy as np
import pytest
import torch

from segmentation import PixelwiseError, Segmentation
from segmentation.export.records import result_facts
from segmentation.inference.components import label_components
from segmentation.inference.postprocessing import decide

NAMES = ("__background__", "cat", "dog")


def segmentation(class_map: list[list[int]], **changes: object) -> Segmentation:
    """A result with this class map, sure of everything."""
    labels = np.array(class_map, np.uint8)
    logits = torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 3).permute(2, 0, 1) * 9.0
    values = {
        "class_map": labels,
        "confidence": np.full(labels.shape, 0.5, np.float32),
        "runner_up": np.zeros(labels.shape, np.uint8),
        "logits": logits,
        "categories": NAMES,
        "model": "made_up",
        "device": "cpu",
        "seconds": 0.25,
    }
    return Segmentation(**{**values, **changes})


TWO_CATS = [
    [1, 1, 0, 0, 0],
    [1, 0, 0, 2, 2],
    [0, 0, 0, 2, 2],
    [0, 1, 0, 0, 2],
]


def test_a_result_cannot_be_changed():
    result = segmentation(TWO_CATS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.model = "other"
    for array in (result.class_map, result.confidence, result.runner_up):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_areas_are_counted_largest_first():
    confidence = np.linspace(0.1, 1, 20, dtype=np.float32).reshape(4, 5)
    areas = segmentation(TWO_CATS, confidence=confidence).areas()
    assert [(a.index, a.name, a.pixels) for a in areas] == [
        (0, "__background__", 11),
        (2, "dog", 5),
        (1, "cat", 4),
    ]
    assert [a.fraction for a in areas] == [11 / 20, 5 / 20, 4 / 20]
    labels = np.array(TWO_CATS)
    for area in areas:
        assert area.confidence == pytest.approx(confidence[labels == area.index].mean(), abs=1e-6)


@pytest.mark.parametrize("side", [1, 3, 50])
def test_areas_of_a_large_map_are_counted_in_runs_and_blocks(rng, side):
    small = rng.integers(0, 3, (1 + 600 // side, 1 + 700 // side), dtype=np.uint8)
    labels = np.repeat(np.repeat(small, side, axis=0), side, axis=1)[:600, :700]
    confidence = rng.random(labels.shape, dtype=np.float32)
    result = segmentation(labels, confidence=confidence)
    for area in result.areas():
        assert area.pixels == np.count_nonzero(labels == area.index)
        mean = confidence[labels == area.index].mean(dtype=np.float64)
        assert area.confidence == pytest.approx(mean, rel=1e-9)


def test_areas_of_equal_size_come_by_index():
    assert [a.index for a in segmentation([[2, 1, 0]]).areas()] == [0, 1, 2]


def test_regions_have_box_mask_and_confidence():
    confidence = np.linspace(0.1, 1, 20, dtype=np.float32).reshape(4, 5)
    dog, cat, paw = segmentation(TWO_CATS, confidence=confidence).regions()
    assert (dog.name, dog.box, dog.pixels, dog.fraction) == ("dog", (1, 3, 4, 5), 5, 0.25)
    assert (cat.name, cat.box, cat.pixels) == ("cat", (0, 0, 2, 2), 3)
    assert (paw.name, paw.box, paw.pixels) == ("cat", (3, 1, 4, 2), 1)
    np.testing.assert_array_equal(dog.mask, np.array(TWO_CATS) == 2)
    assert dog.mask.dtype == bool
    assert dog.confidence == pytest.approx(confidence[dog.mask].mean(), abs=1e-6)


def test_small_regions_are_left_out_at_the_very_bound():
    result = segmentation(TWO_CATS)
    assert [r.pixels for r in result.regions(min_fraction=3 / 20)] == [5, 3]
    assert [r.pixels for r in result.regions(min_fraction=0.16)] == [5]
    assert result.regions(min_fraction=1.0) == []
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(PixelwiseError, match="must lie between 0 and 1"):
            result.regions(min_fraction=wrong)


def test_background_is_no_object_unless_asked_for_or_named_otherwise():
    result = segmentation(TWO_CATS)
    every = result.regions(0, background=True)
    assert sum(region.pixels for region in every) == 20
    assert np.sum([region.mask for region in every], axis=0).tolist() == [[1] * 5] * 4
    street = segmentation(TWO_CATS, categories=("road", "cat", "dog"))
    assert {r.name for r in street.regions(0)} == {"road", "cat", "dog"}


def flood(class_map: np.ndarray) -> set[tuple[int, frozenset[tuple[int, int]]]]:
    """Connected components, the slow and plain way."""
    todo = {(y, x) for y in range(class_map.shape[0]) for x in range(class_map.shape[1])}
    found = set()
    while todo:
        seed = todo.pop()
        stack, pixels = [seed], {seed}
        while stack:
            y, x = stack.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in todo and class_map[near] == class_map[seed]:
                    todo.remove(near)
                    pixels.add(near)
                    stack.append(near)
        found.add((int(class_map[seed]), frozenset(pixels)))
    return found


def test_components_equal_a_flood_fill(rng):
    for _ in range(60):
        height, width, classes = rng.integers(1, 16, 3)
        class_map = rng.integers(0, 1 + classes % 3, (height, width)).astype(np.uint8)
        found = label_components(class_map)
        ours = set()
        for component in found:
            top, left, _, _ = component.box
            ys, xs = np.nonzero(component.crop)
            assert component.pixels == len(ys)
            places = zip((ys + top).tolist(), (xs + left).tolist(), strict=True)
            ours.add((component.index, frozenset(places)))
            for edge in (component.crop[0], component.crop[-1], *component.crop.T[[0, -1]]):
                assert edge.any()  # the box is tight
        assert ours == flood(class_map)
        assert [c.pixels for c in found] == sorted((c.pixels for c in found), reverse=True)


def test_a_spiral_is_one_component():
    spiral = np.zeros((41, 41), np.uint8)
    for ring in range(0, 20, 2):
        spiral[ring, ring : 41 - ring] = spiral[ring : 41 - ring, 40 - ring] = 1
        spiral[40 - ring, ring : 41 - ring] = spiral[ring + 2 : 41 - ring, ring] = 1
        spiral[ring + 2, ring : ring + 3] = 1
    (one,) = label_components(spiral, skip=0)
    assert one.pixels == spiral.sum()


def test_probabilities_at_every_pixel_agree_with_the_class_map():
    logits = torch.randn((3, 5, 7), generator=torch.Generator().manual_seed(0))
    class_map, confidence, runner_up = decide(logits, (23, 19))
    result = segmentation(
        class_map.tolist(), confidence=confidence, runner_up=runner_up, logits=logits
    )
    for y in range(23):
        for x in range(19):
            probabilities = result.probabilities_at(y, x)
            assert probabilities.shape == (3,)
            assert probabilities.sum() == pytest.approx(1, abs=1e-6)
            assert probabilities.argmax() == class_map[y, x]
            assert probabilities.max() == pytest.approx(confidence[y, x], abs=1e-6)
            assert np.argsort(probabilities)[-2] == runner_up[y, x]


def test_margin_and_entropy_of_a_pixel():
    sure = segmentation([[1]], logits=torch.tensor([0.0, 1000.0, 0.0]).reshape(3, 1, 1)).pixel(0, 0)
    assert (sure.margin, sure.entropy) == (1.0, 0.0)
    unsure = segmentation([[0]], logits=torch.zeros(3, 1, 1)).pixel(0, 0)
    assert unsure.margin == 0
    assert unsure.entropy == pytest.approx(np.log2(3), abs=1e-6)


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (4, 0), (0, 5), (1.5, 0), ("1", 0), (None, 1)])
def test_pixels_outside_are_an_error_that_names_them(place):
    with pytest.raises(PixelwiseError, match=r"pixel \(") as caught:
        segmentation(TWO_CATS).probabilities_at(*place)
    assert isinstance(caught.value, IndexError)


def test_numpy_integers_are_pixels_too():
    assert segmentation(TWO_CATS).probabilities_at(np.int64(0), np.uint8(1)).argmax() == 1


def test_facts_are_plain_and_complete():
    values = json.loads(json.dumps(result_facts(segmentation(TWO_CATS))))
    assert list(values)[-1] == "schema"
    classes = values.pop("classes")
    assert values == {
        "model": "made_up",
        "device": "cpu",
        "precision": "float32",
        "height": 4,
        "width": 5,
        "seconds": 0.25,
        "unsure": None,
        "schema": "pixelwise/1",
    }
    assert classes[2] == {
        "index": 1,
        "name": "cat",
        "pixels": 4,
        "fraction": 0.2,
        "confidence": 0.5,
    }
    assert [set(c) for c in classes] == [{"index", "name", "pixels", "fraction", "confidence"}] * 3


def test_a_threshold_gives_each_pixel_its_set():
    sizes = np.array([[1, 2], [2, 3]], np.uint8)
    logits = torch.log(torch.tensor([[0.6, 0.5], [0.4, 0.3], [0.3, 0.3], [0.4, 0.3]]))
    logits = torch.cat([logits, torch.log(torch.tensor([[0.1, 0.2], [0.2, 0.4]]))]).view(3, 2, 2)
    found = segmentation([[0, 0], [0, 2]], logits=logits, set_sizes=sizes, set_threshold=0.25)
    assert found.unsure == 0.75
    assert result_facts(found)["unsure"] == 0.75
    assert found.pixel(0, 0).prediction_set == (0, 1)
    assert found.pixel(1, 1).prediction_set == (2, 0, 1)
    assert segmentation(TWO_CATS).pixel(0, 0).prediction_set is None
    assert segmentation(TWO_CATS).unsure is None
    with pytest.raises(ValueError, match="read-only"):
        found.set_sizes[0, 0] = 9
