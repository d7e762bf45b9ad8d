"""The page's last lines say what holds on this page."""

import pytest

from page.components.footer import LESSON, credits, footer
from page.options import Options
from page.tabs.examples import examples_folder, offered


def test_every_example_photo_has_its_author_and_licence():
    folder = examples_folder()
    named = dict(credits(folder))
    assert set(named) == {path.name for _, path in offered(folder)}
    html = footer(Options(), folder)
    assert "Aitzol Berasategi" in html
    licence = "https://creativecommons.org/licenses/by/4.0/"
    assert f'<a href="{licence}" rel="noopener">CC BY 4.0</a>' in html
    assert f'href="{LESSON}"' in html


def test_a_folder_without_credits_has_none(tmp_path):
    assert credits(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(), "deleted within an hour."),
        (Options(keep_minutes=30), "deleted within 30 minutes."),
        (Options(share=True), "it passes Gradio’s relay"),
    ],
)
def test_privacy_is_that_of_this_page(options, said, tmp_path):
    assert said in footer(options, tmp_path)


@pytest.mark.parametrize(
    ("space", "link"),
    [("ana/pixelwise", True), ("", False), ('a/b" onclick="x', False)],
)
def test_on_a_space_the_source_is_linked(space, link, monkeypatch, tmp_path):
    monkeypatch.setenv("SPACE_ID", space)
    html = footer(Options(), tmp_path)
    assert ("https://huggingface.co/spaces/ana/pixelwise/tree/main" in html) is link
    assert "onclick" not in html


def test_text_in_the_credits_stays_text(tmp_path):
    (tmp_path / "CREDITS.md").write_text(
        "| photo | what | author | from | expect |\n|---|---|---|---|---|\n"
        "| `a.jpg` | a | <b>Bo</b> [x](javascript:alert) [y](https://y.example) | f | e |\n"
    )
    html = footer(Options(), tmp_path)
    assert "&lt;b&gt;Bo&lt;/b&gt; [x](javascript:alert)" in html
    assert '<a href="https://y.example" rel="noopener">y</a>' in html
