"""Follow one film through the code: which files its reading passes, and how often it comes back.

    python tools/follow.py [FILM]

A stay is an unbroken stretch in one file; a return is a stay in a file where the film was before.
The film is read once before, so that what is loaded is not counted. What a decoder does in its own
process is not seen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import hilum
from hilum import load_bundle

ROOT = Path(hilum.__file__).parent


def main() -> None:
    """Print the way of a film."""
    film = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "serve/samples/frontal-opacities.png")
    reader = load_bundle()
    reader.read(film)
    stays: list[str] = []
    inside: list[str] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not path.is_relative_to(ROOT):
            return
        if event == "call":
            inside.append(str(path.relative_to(ROOT)))
        else:
            inside.pop()
        if inside and stays[-1:] != inside[-1:]:
            stays.append(inside[-1])

    sys.setprofile(watch)
    try:
        reader.read(film)
    finally:
        sys.setprofile(None)
    files = list(dict.fromkeys(stays))
    print("\n".join(files))
    print(f"{len(files)} files, {len(stays)} stays, {len(stays) - len(files)} returns")


if __name__ == "__main__":
    main()
