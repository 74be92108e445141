"""Cut DejaVu Sans to the letters that a PDF report needs; matplotlib brings the whole fonts.

python tools/subset_fonts.py src/hilum/serve/pdf/fonts

Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic with its joined forms, punctuation,
arrows and mathematics: a sixth of the size. Letters of East Asia come from Droid Sans Fallback
(Debian: fonts-droid-fallback). The scripts of India and of South-East Asia are left out; a report
writes their letters as codes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import matplotlib
from fontTools import subset

NAMES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
RANGES = (
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x531, 0x58A),
    (0x5D0, 0x5F4),
    (0x600, 0x6FF),
    (0x10A0, 0x10FF),
    (0x1E00, 0x1EFF),
    (0x2010, 0x203A),
    (0x2070, 0x208E),
    (0x20AC, 0x20AC),
    (0x2190, 0x2193),
    (0x2212, 0x2212),
    (0x2248, 0x2265),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
)


DROID = Path("/usr/share/fonts-droid-fallback/truetype/DroidSansFallback.ttf")
EAST = (
    (0x1100, 0x11FF),
    (0x3000, 0x30FF),
    (0x3130, 0x318F),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),
)


def main(folder: Path) -> None:
    """Write the fonts and their licence to ``folder``."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    folder.mkdir(parents=True, exist_ok=True)
    options = subset.Options(hinting=False, layout_features=[], recalc_timestamp=False)
    options.drop_tables += ["FFTM", "GPOS", "GSUB", "GDEF", "kern"]
    for path in (fonts / name for name in NAMES):
        _cut(path, folder, RANGES, options)
    _cut(DROID, folder, EAST, options)
    shutil.copyfile(fonts / "LICENSE_DEJAVU", folder / "LICENSE_DEJAVU")


def _cut(
    path: Path, folder: Path, ranges: tuple[tuple[int, int], ...], options: subset.Options
) -> None:
    font = subset.load_font(path, options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for a, b in ranges for code in range(a, b + 1)])
    cutter.subset(font)
    subset.save_font(font, folder / path.name, options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
