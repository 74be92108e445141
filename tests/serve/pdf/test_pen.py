from __future__ import annotations

import ctypes
import io

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from hilum.serve.pdf.pen import (
    BOLD,
    ELLIPSIS,
    Pen,
    fit,
    fit_middle,
    in_order,
    shown,
    width_of,
    wrap,
)

EASTERN = "\u80ba\u90e8 \u5c71\u7530 \uae40\ucca0\uc218 \u304b\u30ab.png"
"""Chinese, Japanese and Korean."""
TEXTS = st.text(max_size=120)
WIDTHS = st.floats(40, 400)


@given(TEXTS, WIDTHS, st.sampled_from(["HilumSans", BOLD]))
@settings(max_examples=60, deadline=None)
def test_nothing_is_wider_than_its_place_nor_cut_in_silence(text, width, font):
    whole = shown(text, font)
    for line in (fit(text, width, 8, font), fit_middle(text, width, 8, font)):
        assert width_of(line, 8, font) <= width
        assert line == whole or ELLIPSIS in line
    lines = wrap(text, width, 8, font, most=3)
    assert len(lines) <= 3
    assert all(width_of(line, 8, font) <= width for line in lines)
    kept = "".join(lines).replace(" ", "")
    assert kept == whole.replace(" ", "") or kept.endswith(ELLIPSIS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ωμέγα Привет café ≥ 3 µ", "Ωμέγα Привет café ≥ 3 µ"),
        (EASTERN, EASTERN),
        ("\u0e01\u0e32.png", "\\u0e01\\u0e32.png"),
        ("a\x00b\tc\x07", "a\\x00b c\\x07"),
        ("a \u202eb\u200f \u2067c\u2069", "a b c"),  # they order letters, and are none
        ("\U0001fac1", "\\U0001fac1"),
        ("\udcff", "\\udcff"),  # a byte of a file name that is no text
    ],
)
def test_a_letter_that_the_font_lacks_is_a_code(text, expected):
    assert shown(text) == expected


def test_arabic_letters_are_joined_and_stand_from_right_to_left():
    """The forms of the Unicode standard's own table, chapter 9.2; numbers keep their place."""
    drawn = []

    class Canvas:
        def __getattr__(self, _):
            return lambda *_: None

        def drawString(self, _x, _y, text):  # noqa: N802
            drawn.append(text)

    name, joined = "\u0645\u062d\u0645\u062f", "\ufee3\ufea4\ufee4\ufeaa"
    assert shown(f"{name} \u00b7 17") == f"{joined} \u00b7 17"
    assert shown(shown(name)) == joined
    Pen(Canvas(), 40).text(0, 0, f"{name} \u00b7 17", 12)
    assert "".join(drawn) == f"{joined[::-1]} \u00b7 17"
    hebrew = "\u05e9\u05b8\u05dc\u05d5\u05dd"
    assert shown(hebrew) == hebrew.replace("\u05b8", "")


NAME, OTHER, ID = "\u0645\u062d\u0645\u062f", "\u0639\u0644\u064a", "\u0664\u0665\u0666"
PERSIAN, HEBREW = "\u06f4\u06f5\u06f6", "\u05e9\u05dc\u05d5\u05dd"


def _by_fribidi(text):
    """GNU FriBidi: it joins, orders and mirrors."""
    try:
        library = ctypes.CDLL("libfribidi.so.0")
    except OSError:
        pytest.skip("no libfribidi here")
    letters, out = (ctypes.c_uint32 * len(text))(*map(ord, text)), (ctypes.c_uint32 * len(text))()
    base = ctypes.c_uint32(0x40)  # FRIBIDI_PAR_ON: as the first letter asks
    assert library.fribidi_log2vis(letters, len(text), ctypes.byref(base), out, None, None, None)
    return "".join(map(chr, out))


@pytest.mark.parametrize(
    "text",
    [
        f"ID {ID}",
        f"ID {PERSIAN}, {ID} b",
        f"{NAME} {ID}",
        f"{NAME}\u060c 12",
        f"{NAME} ABC {OTHER}",
        f"{NAME} (7) [{OTHER}] ABC (D)",
        f"ID 7 {NAME} (8)",
        f"Dr. {HEBREW} <{HEBREW} 3.5> x",
        f"{HEBREW} 2020-01-01 12:30, {NAME}.png",
    ],
)
def test_what_is_written_from_right_to_left_stands_where_another_program_puts_it(text):
    assert in_order(shown(text)) == _by_fribidi(text)
    beside = f"{text} \u00b7 ID 17 \u00b7 {ID}"
    assert in_order(shown(beside)) == f"{_by_fribidi(text)} \u00b7 ID 17 \u00b7 {ID}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEBREW}\u200f", HEBREW[::-1]),
        (f"{HEBREW} \u0e01", f"\\u0e01 {HEBREW[::-1]}"),
        (f"{HEBREW}\x07 \U0001fac1 7", f"\\x07 \\U0001fac1 7{HEBREW[::-1]}"),
        (f"ID {HEBREW} \u0e01\u0e02", f"ID {HEBREW[::-1]} \\u0e01\\u0e02"),
        (f"{HEBREW} \\u0e", f"\\u0e {HEBREW[::-1]}"),  # that was cut
    ],
)
def test_a_code_stays_whole_among_letters_from_right_to_left(text, expected):
    assert in_order(shown(text)) == expected


@given(
    st.text("abAB12 \u00b7()[]<>\u00ab.,-:/\u0e01\u200f" + NAME + HEBREW + ID + PERSIAN, min_size=1)
)
@settings(max_examples=200, deadline=None)
def test_any_line_stands_where_another_program_puts_it(text):
    line = shown(text).split(" \u00b7 ")[0]
    thai = line.replace("\\u0e01", "\u0e01")
    assert in_order(line).replace("\\u0e01", "\u0e01") == (_by_fribidi(thai) if thai else "")


def test_digits_run_from_left_to_right_among_letters_that_do_not():
    assert in_order(f"ID {ID}") == f"ID {ID}"
    assert in_order(f"{HEBREW} {ID}") == f"{ID} {HEBREW[::-1]}"
    assert in_order(f"{HEBREW} (A) {HEBREW[:2]}") == f"{HEBREW[1::-1]} (A) {HEBREW[::-1]}"


@pytest.mark.parametrize("bold", [False, True])
def test_letters_of_east_asia_stand_in_the_pdf(bold):
    """As text that another program finds, and as ink, in a font that is in the file."""
    text = (
        "Li \u674e\u660e \u5c71\u7530\u592a\u90ce \uae40\ucca0\uc218 \u80ba\u708e \u30ab\u30ca 7 mm"
    )
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 40))
    Pen(canvas, 40).text(10, 25, text, 12, bold=bold)
    canvas.showPage()
    canvas.save()
    page = pypdf.PdfReader(io.BytesIO(out.getvalue())).pages[0]
    assert page.extract_text().replace("\n", "") == text
    fonts = [each.get_object() for each in page["/Resources"]["/Font"].values()]
    named = [each["/FontDescriptor"] for each in fonts if "/FontDescriptor" in each]
    assert sum("/FontFile2" in each for each in named) >= 2
    assert width_of(text, 12) > width_of("Li  7 mm", 12) + 12 * 9


def test_both_ends_of_a_long_name_stay():
    line = fit_middle("begin" + 300 * "x" + "end.dcm", 150, 8)
    assert line.startswith("begin")
    assert line.endswith("end.dcm")


def test_lines_break_at_spaces():
    assert wrap("alpha beta gamma", width_of("alpha beta ", 8), 8) == ["alpha beta", "gamma"]
