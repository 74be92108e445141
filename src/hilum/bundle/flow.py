"""Flow: how many films came, left and why, as text and as a picture (CLAIM 2024, item 35)."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hilum.bundle.datasheet import NO_SIDE, Datasheet, Flow

_WIDTH, _LINE, _PAD, _GAP = 400, 20, 12, 34


def flow_text(data: Datasheet) -> str:
    """Draw the flow with characters, for a terminal and for Markdown."""
    lines = [_row(name, films) for name, films in _before(data)]
    if data.flow.duplicates:
        lines.append(f"  {_linked(data.flow)}")
    lines += [_row(name, films) for name, films in _after(data)]
    lines += [_row(f"   {side.name}", side.films, side.patients) for side in data.sides]
    if data.flow.not_opened:
        lines.append(_row("   of train and val: image not opened", data.flow.not_opened))
    return "\n".join(lines)


def flow_svg(data: Datasheet) -> str:
    """Draw the flow as SVG; text is escaped, sizes in pixels."""
    flow = data.flow
    early = [(reason, n) for reason, n in flow.left_out.items() if reason != NO_SIDE]
    late = [(reason, n) for reason, n in flow.left_out.items() if reason == NO_SIDE]
    steps = [
        ([f"read from {len(data.collections)} collections", f"{flow.read} films"], early),
        (([_linked(flow)] if flow.duplicates else []) + ["patients kept together"], late),
        (["kept and divided by patient", f"{flow.kept} films"], []),
    ]
    shapes, top = [], 10
    for lines, aside in steps:
        height = _height(max(len(lines), len(aside)))
        shapes.append(_box(10, top, _WIDTH, height, lines))
        if aside:
            words = [f"{reason}: {films}" for reason, films in aside]
            shapes.append(_box(_WIDTH + 60, top, _WIDTH, height, words, soft=True))
            shapes.append(_line(_WIDTH + 10, top + height // 2, _WIDTH + 60, top + height // 2))
        shapes.append(_line(_WIDTH // 2 + 10, top + height, _WIDTH // 2 + 10, top + height + _GAP))
        top += height + _GAP
    width = 2 * _WIDTH + 60
    part = width // max(len(data.sides), 1)
    for number, side in enumerate(data.sides):
        words = [side.name, f"{side.films} films", f"{side.patients} patients"]
        shapes.append(_box(10 + number * part, top, part - 16, _height(3), words))
    height = top + _height(3) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Inclusion of films" '
        f'viewBox="0 0 {width + 20} {height}" width="100%" style="max-width: {width + 20}px" '
        f'font-family="system-ui, sans-serif" font-size="14">{"".join(shapes)}</svg>'
    )


def _before(data: Datasheet) -> Iterable[tuple[str, int]]:
    yield f"read from {len(data.collections)} collections", data.flow.read
    for reason, films in data.flow.left_out.items():
        if reason != NO_SIDE:
            yield f" - {reason}", -films


def _after(data: Datasheet) -> Iterable[tuple[str, int]]:
    if NO_SIDE in data.flow.left_out:
        yield f" - {NO_SIDE}", -data.flow.left_out[NO_SIDE]
    yield " = kept", data.flow.kept


def _linked(flow: Flow) -> str:
    return f"{flow.duplicates} pairs show one film: linked"


def _row(name: str, films: int, patients: int | None = None) -> str:
    row = f"{name:<48}{films:>8} films"
    return row if patients is None else f"{row}{patients:>8} patients"


def _height(lines: int) -> int:
    return lines * _LINE + 2 * _PAD


def _box(x: int, y: int, width: int, height: int, lines: list[str], soft: bool = False) -> str:
    fill, stroke = ("#f6f8fa", "#b7c2cd") if soft else ("#ffffff", "#0b6e99")
    first = y + _PAD + 15
    text = "".join(
        f'<text x="{x + 12}" y="{first + _LINE * number}" fill="#1b2733">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" '
        f'stroke="{stroke}"/>{text}'
    )


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#5b6b7b"/>'
