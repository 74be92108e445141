"""Make the page of the gallery: what each examples/plot_*.py says, its picture and its code.

    python tools/gallery.py docs/gallery.md               the page and its pictures
    python tools/gallery.py docs/gallery.md plot_marks    the page, and this picture alone

Every picture is of the virtual films inside the package; no film of any collection is in it.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
ABOVE = """# Gallery

Each picture is drawn by a few lines that you can copy. The films are virtual, calculated from a
public chest CT; a model trained on real films shows here how Hilum works, not how well it reads.

`python examples/plot_reading.py picture.png` draws the first one. The scripts need `pip install
'hilum[evaluate]'`. This page is written by `python tools/gallery.py docs/gallery.md`.

Research use only; not a medical device.
"""


def page() -> str:
    """Return the page, with the pictures by their place beside it."""
    return "\n".join([ABOVE, *(_part(path) for path in scripts())])


def scripts() -> list[Path]:
    """Return the scripts; the one that shows a reading comes first."""
    return sorted(EXAMPLES.glob("plot_*.py"), key=lambda path: (path.stem != "plot_reading", path))


def draw(script: Path, out: Path) -> None:
    """Run a script and write its picture."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{script}: no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.plot().savefig(out, dpi=100)


def _part(script: Path) -> str:
    code = script.read_text(encoding="utf-8")
    tree = ast.parse(code)
    title, _, words = (ast.get_docstring(tree) or "").partition("\n\n")
    words = words.replace("``", "`")
    code = _indented(f"```python\n{code[code.index('import sys') :]}```")
    return f"""## {title.rstrip(".")}

{words}

![{title.rstrip(".")}](images/gallery/{script.stem}.png)

??? example "`examples/{script.name}`"

{code}
"""


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if target.suffix != ".md":
        raise SystemExit(__doc__)
    target.write_text(page(), encoding="utf-8")
    pictures = target.parent / "images" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for path in scripts():
        if path.stem in sys.argv[2:] or len(sys.argv) == 2:
            draw(path, pictures / f"{path.stem}.png")
