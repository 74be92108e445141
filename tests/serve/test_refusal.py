from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from hilum.apps.cli.main import command_line
from hilum.bundle.folder import DEFAULT_BUNDLE, seal
from hilum.bundle.gate import GATE, Distance, GateHead, GateSpec, Limit, Rule
from hilum.bundle.lungs import LungSegmenter, copy_lungs
from hilum.core.errors import BundleError
from hilum.core.radiograph import Radiograph
from hilum.core.reading import Reading, Status
from hilum.core.refusal import Reason, Refusal
from hilum.image.signs import SIGNS
from hilum.serve.reader import load_bundle
from hilum.serve.report import HtmlReport


def _spec(segmenter):
    """Refuses what is more than 1.65 times as wide as it is tall."""
    film = Radiograph(np.eye(64, dtype=np.float32), "made", "made", 8)
    embedding = segmenter.segment(film).embedding.size
    size = embedding + len(SIGNS)

    def limit(value):
        return Limit(value=value, chosen="for a test")

    return GateSpec(
        lungs=segmenter.checksum,
        signs=SIGNS,
        head=GateHead(
            kinds=("frontal",),
            mean=(0.0,) * size,
            scale=(1.0,) * size,
            coefficients=((0.0,) * size,),
            bias=(0.0,),
        ),
        kinds=(),
        distance=Distance(mean=(0.0,) * embedding, axes=((0.0,) * embedding,), refuse=limit(1)),
        rules=(Rule(sign="log_aspect", reason=Reason.NOT_A_CHEST_FILM, high=limit(0.5)),),
    )


@pytest.fixture(scope="module")
def gated(make_bundle, tmp_path_factory):
    """A bundle with a lung network and a gate."""
    root = make_bundle(tmp_path_factory.mktemp("gated") / "blocks")
    copy_lungs(DEFAULT_BUNDLE, root)
    (root / GATE).write_text(_spec(LungSegmenter(root)).model_dump_json())
    seal(root)
    return root


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """One film of common proportions, and one wide picture."""
    folder = tmp_path_factory.mktemp("ward")
    random = np.random.default_rng(0)
    for name, shape in (("film.png", (200, 180)), ("wide.png", (120, 260))):
        cv2.imwrite(str(folder / name), random.integers(0, 255, shape, dtype=np.uint8))
    return folder


def test_a_refused_film_has_a_code_a_value_and_its_limit_and_no_probability(gated, ward):
    reading = load_bundle(gated).read(ward / "wide.png")
    assert reading.status is Status.REFUSED
    assert reading.refusal is not None
    assert reading.refusal.code is Reason.NOT_A_CHEST_FILM
    assert reading.refusal.value == pytest.approx(np.log(260 / 120), abs=1e-6)
    assert reading.refusal.limit == 0.5
    assert "0.773, limit 0.5" in (reading.reason or "")
    assert reading.hint
    assert reading.findings == ()
    assert "probability" not in reading.model_dump_json(exclude={"notice"})


def test_a_film_within_the_limits_is_read_as_without_a_gate(gated, small_bundle, ward):
    gate, plain = (load_bundle(root).read(ward / "film.png") for root in (gated, small_bundle))
    assert gate.status is Status.READ
    assert gate.findings == plain.findings
    assert gate.refusal is None
    assert not gate.forced


def test_force_reads_and_marks_and_keeps_the_reason(gated, ward, small_bundle):
    reader = load_bundle(gated)
    forced = reader.read(ward / "wide.png", force=True)
    assert forced.status is Status.READ
    assert forced.forced
    assert forced.refusal is not None
    assert forced.reason == forced.refusal.sentence
    assert forced.findings == load_bundle(small_bundle).read(ward / "wide.png").findings
    film = reader.read(ward / "film.png", force=True)
    assert not film.forced
    assert film.reason is None


def test_many_films_are_forced_alike(gated, ward):
    films = [ward / "film.png", ward / "wide.png"]
    reader = load_bundle(gated)
    assert [one.status for one in reader.read_many(films)] == [Status.READ, Status.REFUSED]
    assert [one.forced for one in reader.read_many(films, force=True)] == [False, True]
    examined = list(reader.examine(films, force=True, keep=True))
    assert all(one.lungs is not None and one.radiograph is not None for one in examined)


def test_force_reads_what_the_file_itself_rules_out(gated, films):
    reader = load_bundle(gated)
    for name, code in (("tiny.png", Reason.TOO_SMALL), ("blank.png", Reason.BLANK)):
        reading = reader.read(films / name, force=True)
        assert (reading.status, reading.forced) == (Status.READ, True)
        assert reading.refusal is not None
        assert reading.refusal.code is code
        assert reading.findings
    assert reader.read(films / "broken.jpg", force=True).status is Status.ERROR


def test_a_gate_of_another_lung_network_opens_no_reader(gated, tmp_path):
    root = tmp_path / "other"
    shutil.copytree(gated, root)
    spec = _spec(LungSegmenter(root)).model_copy(update={"lungs": "0" * 64})
    (root / GATE).write_text(spec.model_dump_json())
    seal(root)
    with pytest.raises(BundleError, match="fitted on the lung network 000000000000"):
        load_bundle(root)


def _refusal():
    return Refusal(code=Reason.LATERAL, measured="said so", hint="none")


def test_no_reading_can_carry_both_a_refusal_and_findings_unforced(gated, ward):
    read = load_bundle(gated).read(ward / "film.png").model_dump()
    for change in (
        {"status": "refused"},
        {"status": "error"},
        {"refusal": _refusal().model_dump()},
        {"forced": True},
    ):
        with pytest.raises(ValidationError):
            Reading.model_validate(read | change)
    Reading.model_validate(read | {"refusal": _refusal().model_dump(), "forced": True})


def _read(*arguments):
    return CliRunner().invoke(command_line(["read"]), ["read", *map(str, arguments)])


def test_the_table_names_codes_and_counts_them(gated, ward):
    result = _read(ward, "--bundle", gated)
    assert result.exit_code == 3
    assert "[not-a-chest-film]" in result.output
    assert "2 films: 1 read, 1 refused" in result.output
    assert "Refused by reason: not-a-chest-film 1" in result.output


def test_forced_films_are_marked_in_the_table(gated, ward):
    result = _read(ward, "--bundle", gated, "--force")
    assert result.exit_code == 0
    assert "1 read, 1 forced" in result.output
    assert "Refused, and read all the same: [not-a-chest-film]" in " ".join(result.output.split())


def test_json_lines_hold_the_refusal(gated, ward):
    result = _read(ward, "--bundle", gated, "--json")
    rows = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
    assert [row["refusal"] and row["refusal"]["code"] for row in rows] == [
        None,
        "not-a-chest-film",
    ]


def test_the_page_names_the_code_and_marks_what_was_forced(gated, ward):
    reader = load_bundle(gated)
    for force, word in ((False, "Not read:"), (True, "Refused, and read all the same:")):
        report = HtmlReport(reader)
        for one in reader.examine([ward / "wide.png"], keep=True, force=force):
            report.add(one)
        page = report.html()
        assert word in page
        assert "[not-a-chest-film] not a chest radiograph" in page
        assert (">forced<" in page) is force
