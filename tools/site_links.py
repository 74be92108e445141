"""Hook of the documentation site: what a page links to outside docs/ is taken along.

Pages are written to be read in the repository, too: ``../../SECURITY.md`` is right there. On the
site such a file lies under project/, Markdown as a page and anything else as it is, so that every
link works without a network.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
PROJECT = "project/"
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme's plugin "offline" loads from elsewhere; a copy lies in docs/assets."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the repository that a page links to, and what those link to in turn."""
    waiting = [(file.src_uri, _text(file.abs_src_path)) for file in files if _is_page(file.src_uri)]
    while waiting:
        uri, text = waiting.pop()
        for link in LINK.finditer(text):
            target = _target(uri, link[2])
            path = ROOT / target.removeprefix(PROJECT)
            if target.startswith(PROJECT) and target not in files.src_uris and path.is_file():
                file = File.generated(config, target, abs_src_path=str(path))
                file.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(file)
                if _is_page(target):
                    waiting.append((target, _text(str(path))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links point to where a file lies on the site."""
    uri = page.file.src_uri
    if uri.startswith(PROJECT):
        page.meta.setdefault("search", {})["boost"] = 0.3  # the pages of docs/ say it better
    here = posixpath.dirname(uri)

    def moved(link: re.Match[str]) -> str:
        target = _target(uri, link[2])
        if target not in files.src_uris:
            return link[0]  # another site's address, or a fault that the strict build names
        return f"{link[1]}{posixpath.relpath(target, here or '.')}{link[3] or ''}{link[4]}"

    return LINK.sub(moved, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load nothing from elsewhere."""
    return output.replace(SHIM, "../" * page.url.count("/") + "assets/iframe-worker.js")


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Load nothing from elsewhere."""
    return output.replace(SHIM, "assets/iframe-worker.js")


def _target(uri: str, link: str) -> str:
    """Return where on the site a link of a page leads."""
    inside = uri.startswith(PROJECT)
    folder = posixpath.dirname(uri.removeprefix(PROJECT) if inside else f"docs/{uri}")
    place = posixpath.normpath(posixpath.join(folder, link))
    return place.removeprefix("docs/") if place.startswith("docs/") else PROJECT + place


def _is_page(uri: str) -> bool:
    return uri.endswith(".md")


def _text(path: str | None) -> str:
    return Path(os.fspath(path)).read_text(encoding="utf-8") if path else ""
