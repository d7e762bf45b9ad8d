"""A photo's way through the code, and a click's, stay as short as they are."""

from benchmarks.server.walk import count, record, walks

PHOTO = (36, 123)
CLICK = (5, 14)
"""(files, functions) at most."""


def test_a_photo_and_a_click_pass_no_more_than_they_did():
    photo, click = walks()
    first = next(path for path in photo if path.startswith("page/"))
    assert first == "page/tabs/label_handlers.py"
    assert "page/service/queue/scheduler.py" in photo
    assert not {
        "page/service/queue/scheduler.py",
        "page/service/queue/fair_queue.py",
        "segmentation/inference/segmenter.py",
    } & set(click)
    for walk, (most_files, most_functions) in ((photo, PHOTO), (click, CLICK)):
        files, functions = count(walk)
        assert files <= most_files, sorted(walk)
        assert functions <= most_functions, walk


def test_a_function_is_counted_once_and_a_strangers_is_not():
    from segmentation.categories import display_name

    result, walk = record(lambda: [display_name("cat"), display_name("dog"), sorted("ba")])
    assert result == ["cat", "dog", ["a", "b"]]
    assert walk == {"segmentation/categories.py": ["display_name"]}
