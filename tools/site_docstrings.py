"""Extension of the documentation site: docstrings as this project writes them, for griffe.

"Attributes" and "Args" may say one thing of several names ("low, high: ends of the interval"), and
doctests stand where they explain. Griffe wants one name a line, and a fence around code.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Docstring, Extension, Object

_NAMES = re.compile(r"^( {4})(\w+(?:, \w+)+)(: .*(?:\n {5,}.*)*)", re.MULTILINE)
_DOCTEST = re.compile(r"^>>> .*(?:\n(?!$).*)*", re.MULTILINE)


class Ours(Extension):
    """Rewrites every docstring before it is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite that of one object."""
        if obj.docstring:
            obj.docstring = Docstring(
                rewritten(obj.docstring.value),
                lineno=obj.docstring.lineno,
                endlineno=obj.docstring.endlineno,
                parent=obj,
                parser=obj.docstring.parser,
                parser_options=obj.docstring.parser_options,
            )


def rewritten(text: str) -> str:
    """Return a docstring with one name a line and doctests in fences.

    >>> print(rewritten("Args:\\n    a, b: two\\n        numbers."))
    Args:
        a: two
            numbers.
        b: two
            numbers.
    """
    text = _NAMES.sub(
        lambda found: "\n".join(f"{found[1]}{name}{found[3]}" for name in found[2].split(", ")),
        text,
    )
    return _DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
