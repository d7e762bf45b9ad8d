"""The page's theme: Gradio's base theme in slate and teal, with system fonts."""

from pathlib import Path
from typing import Any

import gradio as gr

STATIC = Path(__file__).parent / "static"
STYLES = (
    "page",
    "photo",
    "tabs",
    "classroom",
    "pictures",
    "diagrams",
    "painter",
    "footer",
    "projector",
)
CSS = [STATIC / "styles" / f"{name}.css" for name in STYLES]  # in the order of the cascade
SCRIPTS = ("page.js", "connection.js", "addresses.js", "looks.js")
"""What runs once the page has loaded, each a function."""
FONTS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
HEAD = """
<meta name="theme-color" content="#0f766e">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='0 0 4 4'%3E%3Cpath fill='%230f766e' d='M0 0h4v4H0z'/%3E%3Cpath fill='%235eead4' \
d='M1 1h1v1H1zM2 2h1v1H2z'/%3E%3C/svg%3E">
"""


def theme() -> gr.themes.Base:
    """Return the theme: slate surfaces, teal accent, no web fonts (no request to another host)."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=FONTS,
        font_mono=MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_border_width="1px",
        block_shadow="none",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
    )


def theme_options() -> dict[str, Any]:
    """Return the arguments of `launch()` and `mount_gradio_app()` for theme, styles and scripts."""
    calls = "".join(f"({read_static(name)})();\n" for name in SCRIPTS)
    script = f"() => {{\n{calls}}}"
    return {
        "theme": theme(),
        "css_paths": CSS,
        "js": script,
        "head": HEAD,
        # Gradio's settings offer what this page does not have: an installable app, a recorder
        "footer_links": ["api", "gradio"],
    }


def read_static(name: str) -> str:
    """Read a text file of `page/static`."""
    return (STATIC / name).read_text(encoding="utf-8")
