"""One reading has the same numbers and words wherever it is shown."""

from __future__ import annotations

import json
import re
from io import BytesIO

import pytest
from pydicom import dcmread

from hilum.apps.cli.explain import print_maps
from hilum.apps.cli.table import ReadingTable
from hilum.apps.web.draft import draft
from hilum.core.rounded import fixed
from hilum.core.words import words
from hilum.serve.dicom.make import objects_of
from hilum.serve.explain import METHODS, explain_film, said_of_map
from hilum.serve.fhir import fhir_bundle
from hilum.serve.notebook import reading_html
from hilum.serve.pdf import PdfPage, PdfReport
from hilum.serve.reader import load_bundle
from hilum.serve.report import HtmlReport
from hilum.serve.said import lines_of, said_of
from hilum.serve.samples import ROOT, read_samples

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("highdicom")

LOOKS = ((), ("negative",), ("typical", "negative"), ("typical", "indeterminate", "atypical"))
POINTS = ("balanced", "sensitive", "specific")


@pytest.fixture(scope="module")
def examined(say_looks):
    """Every built-in film at three points, with and without a prevalence: over twenty readings."""
    reader, found = load_bundle(), []
    paths = [sample.path for sample in read_samples()] + [ROOT / "frontal.dcm"]
    for place, point in enumerate(POINTS):
        for prevalence in (None, 0.05):
            read = reader.examine(
                paths, details=True, operating_point=point, prevalence=prevalence, force=place == 2
            )
            for number, one in enumerate(read):
                looks = number % 5
                said = one.reading.status == "read" and looks < 4
                found.append(say_looks(one, *LOOKS[looks]) if said else one)
    assert len({one.reading.model_dump_json() for one in found}) >= 20
    return reader, found


def _plain(text):
    """Text as it is compared: no element, no break of a line, no bar, no folded cell."""
    text = re.sub(r"<(style|script).*?</\\1>|</?[a-z!][^>]*>", " ", text, flags=re.S)
    for shown, meant in (
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#39;", "'"),
        ("&#34;", '"'),
        ("&amp;", "&"),
    ):
        text = text.replace(shown, meant)
    return "".join(text.split())


def _told(said, *, numbers):
    """What every renderer must hold of a reading; ``numbers`` to three decimals, or in percent."""
    yield from (each for each in (said.reason,) if not said.findings)
    for each in said.findings:
        yield from (each.label, each.answer, each.probability if numbers else each.chance)
        yield from (each.against, each.answers) if numbers else (each.set,)


def _missing(text, phrases):
    plain = _plain(text)
    return [each for each in phrases if _plain(each) not in plain]


def test_the_table_the_page_and_the_pdf(examined, capsys, monkeypatch):
    monkeypatch.setattr("hilum.apps.cli.console._WIDTH_OF_PIPE", 4000)
    reader, found = examined
    for one in found:
        said = said_of(one.reading)
        table, page, pdf = ReadingTable(reader.bundle), HtmlReport(reader), PdfReport(reader.bundle)
        table.add(one)
        page.add(one)
        pdf.add(PdfPage.of(one, reader))
        shown = {
            "table": capsys.readouterr().out,
            "page": page.html(),
            "pdf": pypdf.PdfReader(BytesIO(pdf.finish())).pages[0].extract_text(),
        }
        same = list(_told(said, numbers=True))
        same += [said.trained, *(each.value for each in said.severity)]
        same += [each.share for each in said.regions] + [said.status]
        if said.appearance:
            same.append(said.appearance.words[1:])
        for name, text in shown.items():
            assert not _missing(text, same), name
        first = [each.name for each in said.similar[:1]]
        assert not _missing(shown["pdf"], [name[:30] for name in first])  # it shortens long names
        for name in ("table", "page"):
            assert not _missing(shown[name], [*first, *(each.why for each in said.findings)]), name
        both = [
            said.sides if said.regions else "",
            *said.notes,
            *(each.interval for each in said.severity),
        ]
        both += [f"{each.name}{''.join((each.share, *each.kinds))}" for each in said.regions]
        both += [said.appearance.chances, said.appearance.notice] if said.appearance else []
        both += [each.words for each in said.similar] if len(said.similar) <= 5 else []
        for name in ("page", "pdf"):
            assert not _missing(shown[name], both), name


def test_the_draft_of_a_report_is_dictated_with_the_same_numbers(examined):
    numbers = re.compile(r"\d+(?:[.,]\d+)?")
    for one in examined[1]:
        for language in ("en", "ru"):
            said = said_of(one.reading, language)
            written = draft(one.reading, language)
            text = f"{written.findings}\n{written.impression}"
            lines = lines_of(one.reading, language)
            known = [*lines.values(), *(each.line for each in said.severity)]
            known += [each.share for each in said.regions] + ["19"]
            numerals = {n.replace(",", ".") for each in known for n in numbers.findall(each)}
            told = {n.replace(",", ".") for n in numbers.findall(text)}
            assert told <= numerals, (told - numerals, text)
            model = re.search(r"\b(score|threshold|model|set at|logit|оценк|модел|порог)\b", text)
            assert model is None, text
            for each in one.reading.findings:
                if each.answer != "cannot-say" and each.prevalence is not None:
                    assert lines[each.label] in written.impression
            if one.reading.status == "refused":
                assert not written.impression


def test_a_map_says_the_same_in_the_table_and_under_the_picture(examined, capsys):
    reader, _ = examined
    (one,) = reader.examine([ROOT / "frontal.png"], keep=True)
    read = said_of(one.reading).findings[0]
    for method in METHODS:
        report = explain_film(reader, one, method, 0)
        said = said_of_map(report)
        print_maps([report], 1, 0)
        told = (said.score, said.inside, said.peak, said.time)
        assert not _missing(capsys.readouterr().out, [method, report.label, *told])
        assert not _missing(said.line, [said.score, said.inside, said.time])
        assert fixed(one.reading.findings[0].score, 2) == said.score
        if method == "evidence":  # the map that a reading measures
            assert said.inside == read.inside
        assert f"{report.label} · {method}: {METHODS[method].shows}" == said.title


def test_the_dicom_objects(examined):
    seen = 0
    for one in examined[1]:
        if one.reading.status != "read" or not one.reading.path.endswith(".dcm"):
            continue
        seen += 1
        said, told = said_of(one.reading), one.reading.model_dump(mode="json")
        made = {
            each.kind: each.dataset
            for each in objects_of(told, ROOT / "frontal.dcm", ("sr", "gsps"))
        }
        layers = made["gsps"].GraphicAnnotationSequence
        over = [
            text.UnformattedTextValue
            for layer in layers
            for text in layer.get("TextObjectSequence", [])
        ]
        assert not _missing("".join(over), said.overlay)
        items = list(_walk(made["sr"]))
        texts = [item.TextValue for item in items if "TextValue" in item]
        assert said.sides in texts
        numbers = [
            float(item.MeasuredValueSequence[0].NumericValue)
            for item in items
            if item.get("MeasuredValueSequence")
        ]
        for finding, each in zip(one.reading.findings, said.findings, strict=True):
            assert any(abs(number - 100 * finding.probability) < 0.01 for number in numbers)
            assert any(f"{number:.3f}" == each.against.split()[1] for number in numbers)
        for each in said.severity:
            assert any(abs(number - float(each.value)) <= 0.0501 for number in numbers)
        if said.appearance:
            assert f"{said.appearance.line}. {said.appearance.notice}" in texts
    assert seen >= 3


def test_a_severity_that_one_lung_withholds_is_shown_nowhere(tmp_path, capsys):
    """The same film, whole and with one half painted over."""
    reader, film = load_bundle(), dcmread(ROOT / "frontal.dcm")
    film.decompress()
    shown = []
    for name in ("whole", "half"):
        if name == "half":
            pixels = film.pixel_array.copy()
            pixels[:, : pixels.shape[1] // 2] = int(pixels.mean())
            film.PixelData = pixels.tobytes()
        film.save_as(tmp_path / f"{name}.dcm")
        (one,) = reader.examine([tmp_path / f"{name}.dcm"], details=True, keep=True)
        table, page, pdf = ReadingTable(reader.bundle), HtmlReport(reader), PdfReport(reader.bundle)
        table.add(one)
        page.add(one)
        pdf.add(PdfPage.of(one, reader))
        told = one.reading.model_dump(mode="json")
        (report,) = objects_of(told, tmp_path / f"{name}.dcm", ("sr",))
        shown.append(
            {
                "table": capsys.readouterr().out,
                "page": page.html(),
                "pdf": pypdf.PdfReader(BytesIO(pdf.finish())).pages[0].extract_text(),
                "sr": report.dataset.to_json(),
                "fhir": json.dumps(fhir_bundle(told)),
                "json": json.dumps(told),
                "draft": draft(one.reading, "en").findings,
                "notebook": reading_html(one.reading),
            }
        )
    whole, half = shown
    named = re.compile('Brixia|"brixia"')  # the page's model card has it in other words
    said = {name for name, text in whole.items() if named.search(text)}
    assert said == set(whole) - {"draft"}  # which gives no scores of two lungs without an opacity
    assert not {name for name, text in half.items() if named.search(text)}
    assert words()["dictated.severity.unknown"] in half["draft"]


def _walk(item):
    for each in item.get("ContentSequence", []):
        yield each
        yield from _walk(each)
