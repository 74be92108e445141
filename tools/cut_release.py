"""Write a new version where it stands, and give what is unreleased in the changelog its number.

python tools/cut_release.py 1.0.0
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = {
    "src/hilum/__init__.py": r'^(__version__ = ").*(")$',
    "CITATION.cff": r"^(version: ).*()$",
}


def main(root: Path, version: str) -> None:
    """Change the files below a root; nothing is written if one of them is not as expected.

    Raises:
        SystemExit: the version is not newer, or nothing stands under Unreleased.
    """
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    changed = {}
    for name, pattern in VERSION.items():
        text = (root / name).read_text(encoding="utf-8")
        made, count = re.subn(pattern, rf"\g<1>{version}\g<2>", text, flags=re.MULTILINE)
        if count != 1:
            raise SystemExit(f"error: {name}: {count} lines with a version; expected one")
        changed[name] = made
    before = re.search(VERSION["src/hilum/__init__.py"], _read(root, "src/hilum/__init__.py"), re.M)
    if before is None or _number(version) <= _number(before[0].split('"')[1]):
        raise SystemExit(f"error: {version} is not newer than the version of the package")
    changed["CITATION.cff"] = re.sub(
        r"^(date-released: ).*$", rf"\g<1>{today}", changed["CITATION.cff"], flags=re.MULTILINE
    )
    changed["CHANGELOG.md"] = cut(_read(root, "CHANGELOG.md"), version, today)
    for name, text in changed.items():
        (root / name).write_text(text, encoding="utf-8")


def cut(changelog: str, version: str, today: str) -> str:
    """Return the changelog with what was unreleased under a version.

    >>> print(cut("# C\\n\\n## [Unreleased]\\n\\n### Added\\n\\n- A.\\n", "1.0.0", "2026-12-01"))
    # C
    <BLANKLINE>
    ## [Unreleased]
    <BLANKLINE>
    ## [1.0.0] - 2026-12-01
    <BLANKLINE>
    ### Added
    <BLANKLINE>
    - A.
    <BLANKLINE>
    """
    head, mark, rest = changelog.partition("## [Unreleased]\n")
    if not re.search(r"^- ", rest.partition("\n## [")[0], re.MULTILINE):
        raise SystemExit("error: CHANGELOG.md: nothing stands under [Unreleased]")
    return f"{head}{mark}\n## [{version}] - {today}\n{rest}"


def _read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    main(ROOT, sys.argv[1])
