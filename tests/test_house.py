"""What tools/house.py counts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "house.py"


def load():
    spec = importlib.util.spec_from_file_location("house", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ONE = '''"""One."""

# why
class Film:
    def show(self) -> int:
        """Show it."""
        first = 1
        return first + self._once()

    def _once(self) -> int:
        return 1


def _twice() -> int:
    return _twice() + _twice()  # not alone on its line
'''
TWO = "class Film:\n    pass\n\n\nclass _Own:\n    pass\n"


def test_a_class_name_means_one_thing() -> None:
    package = TOOL.parents[1] / "src" / "hilum"
    assert load().several_meanings(sorted(package.rglob("*.py"))) == {}


def test_it_counts_what_it_says(tmp_path: Path) -> None:
    tool = load()
    for name, text in (("one.py", ONE), ("more/two.py", TWO)):
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = sorted((tmp_path / "package").rglob("*.py"))
    found = tool.measure(files)
    assert found["files"] == found["folders"] == "2"
    assert found["lines"] == str(ONE.count("\n") + TWO.count("\n"))
    assert found["lines of a body: median, 90 %, 99 %"].startswith("1 / ")
    assert found["helpers called once"] == "50% (1 of 2)"
    assert found["class names with several meanings"] == "1"
    assert [each.name for each in tool.several_meanings(files)["Film"]] == ["two.py", "one.py"]
    tests = [tmp_path / "tests" / name for name in ("package/test_one.py", "more/test_film.py")]
    assert tool.mirrors(files, tests) == (1, 2)
