"""The log's key and head: what they find, and that one store has one key."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from hilum.apps.cli.main import run
from hilum.apps.store.log import HEAD, KEY, Log, open_log
from hilum.apps.store.store import open_store
from hilum.core.errors import ConfigError, StoreError


@pytest.fixture
def store(store_url):
    made = open_store(store_url)
    yield made
    made.close()


def _add(store, log, lines):
    for _ in range(lines):
        with store.write() as session:
            log.add(session, "anna", "accepted")


def _tamper(store, *statements):
    drop = (
        ["DROP TRIGGER log_never_update", "DROP TRIGGER log_never_delete"]
        if store.sqlite
        else ["DROP TRIGGER log_only_appends ON log"]
    )
    with store.write() as session:
        for statement in (*drop, *statements):
            session.execute(text(statement))


def test_lines_cut_off_the_end_stay_found_when_the_log_has_grown_again(store, tmp_path):
    log = open_log(store, tmp_path)
    _add(store, log, 5)
    log.note_head()
    _tamper(store, "DELETE FROM log WHERE seq >= 3")
    _add(store, log, 8)
    log.note_head()  # as the server does every few seconds
    found = log.verify()
    assert not found.ok
    assert "line 5" in found.problem


def test_an_empty_store_beside_a_note_of_lines_is_refused(store, tmp_path):
    """Else whoever opens the place where a store was lost begins a new one and is its master."""
    log = open_log(store, tmp_path)
    _add(store, log, 5)
    log.note_head()
    assert open_log(store, tmp_path).verify().ok
    _tamper(store, "DELETE FROM log", "DELETE FROM settings")
    with pytest.raises(StoreError, match="is empty, but its log had 5 lines") as caught:
        open_log(store, tmp_path)
    assert "backup" in caught.value.hint


def test_a_line_before_the_first_is_found(store, tmp_path):
    log = open_log(store, tmp_path)
    _add(store, log, 2)
    _tamper(
        store,
        "INSERT INTO log (seq, at, who, action, data, hash) VALUES (0, '', 'eve', 'x', '{}', '')",
    )
    assert "not Hilum's" in log.verify().problem


def test_a_store_has_one_key(store, tmp_path):
    """A command with another --home would seal its lines with a key that does not belong here."""
    log = open_log(store, tmp_path / "data")
    _add(store, log, 1)
    with pytest.raises(ConfigError, match="another folder of data") as caught:
        open_log(store, tmp_path / "other")
    assert "--home" in caught.value.hint
    assert not (tmp_path / "other" / KEY).exists()
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / KEY).write_text("ab" * 32)
    with pytest.raises(ConfigError, match="another folder of data"):
        open_log(store, tmp_path / "third")
    assert open_log(store, tmp_path / "data").verify().ok


def test_a_store_from_before_keys_were_noted_is_known_by_its_first_line(store, tmp_path):
    _add(store, Log(store, tmp_path / "data"), 2)
    with pytest.raises(ConfigError, match="another folder of data"):
        open_log(store, tmp_path / "other")
    assert open_log(store, tmp_path / "data").verify().ok


@pytest.mark.parametrize("content", ["", "zz", "ab", "\N{SNOWMAN}" * 64])
def test_a_damaged_key_is_one_error(store, tmp_path, content):
    (tmp_path / KEY).write_text(content, encoding="utf-8")
    with pytest.raises(StoreError, match="not what Hilum wrote"):
        open_log(store, tmp_path)


def test_a_damaged_head_is_one_error(store, tmp_path):
    log = open_log(store, tmp_path)
    _add(store, log, 1)
    for content in ("", "[]", '{"seq": 1}'):
        (tmp_path / HEAD).write_text(content)
        with pytest.raises(StoreError, match="not what Hilum wrote"):
            log.verify()


def test_the_key_is_its_owners_alone(store, tmp_path):
    open_log(store, tmp_path)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600


def test_the_log_is_whole_and_cannot_be_changed_by_mistake(place):
    for i in range(3):
        place.add(bytes([i]))
    assert place.log.verify().ok
    assert place.log.verify().lines == 3
    for statement in ("UPDATE log SET who = 'eve'", "DELETE FROM log"):
        with pytest.raises(StoreError, match="append-only"), place.store.write() as session:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE log SET who = 'eve' WHERE seq = 2", "line 2 is not"),
        ("UPDATE log SET data = '{}' WHERE seq = 3", "line 3 is not"),
        ("DELETE FROM log WHERE seq = 2", "line 2 is missing"),
        ("DELETE FROM log WHERE seq = 4", "lines 4 to 4 are missing at the end"),
        ("DELETE FROM log", "lines 1 to 4 are missing"),
    ],
)
def test_tampering_with_the_log_is_found(place, tampering, found):
    for i in range(4):
        place.add(bytes([i]))
    place.log.note_head()
    _tamper(place.store, tampering)
    verified = place.log.verify()
    assert not verified.ok
    assert found in verified.problem


def test_a_line_put_in_with_another_key_is_found(place, tmp_path):
    place.add(b"a")
    with place.store.write() as session:
        Log(place.store, tmp_path / "elsewhere").add(session, "eve", "accepted")
    assert "line 2 is not" in place.log.verify().problem


def _backup(home, to, steps, meanwhile):
    """Copy the parts of a folder in an order, while others write; the rest of it last."""
    to.mkdir()
    for name in steps:
        if name == "store.db":
            with (
                contextlib.closing(sqlite3.connect(home / name)) as here,
                contextlib.closing(sqlite3.connect(to / name)) as there,
            ):
                here.backup(there)
        else:
            shutil.copy(home / name, to / name)
        meanwhile()
    for path in home.iterdir():
        if not path.name.startswith("store.db") and not (to / path.name).exists():
            shutil.copy(path, to / path.name)


def _home(folder):
    store = open_store(f"sqlite:///{folder / 'store.db'}")
    return store, open_log(store, folder)


def test_a_backup_in_the_documented_order_is_whole_though_lines_are_written_meanwhile(tmp_path):
    """The head first: an older one fits a database that has more lines."""
    home, to = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    store, log = _home(home)

    def meanwhile():
        _add(store, log, 3)
        log.note_head()

    meanwhile()
    _backup(home, to, (HEAD, "store.db"), meanwhile)
    store.close()
    restored, log = _home(to)
    assert (log.verify().ok, log.count()) == (True, 6)
    _add(restored, log, 5)
    log.note_head()
    assert log.verify().ok
    assert json.loads((to / HEAD).read_text())["seq"] == 11
    _tamper(restored, "DELETE FROM log WHERE seq >= 9")
    assert not log.verify().ok
    restored.close()
    steps = re.findall(r"log\.head|store\.db", _documented_backup())
    assert steps[:2] == [HEAD, "store.db"]


def test_a_head_newer_than_the_restored_database_says_what_to_do(tmp_path, capsys):
    home, to = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    store, log = _home(home)

    def meanwhile():
        _add(store, log, 3)
        log.note_head()

    meanwhile()
    _backup(home, to, ("store.db",), meanwhile)
    store.close()
    assert run(["store", "verify", "--home", str(to)]) == 11
    assert "missing at the end" in (said := capsys.readouterr().err)
    assert "restored" in said
    assert f"remove {HEAD}" in said
    restored, log = _home(to)
    _add(restored, log, 9)  # the server was started all the same
    log.note_head()
    restored.close()
    assert run(["store", "verify", "--home", str(to)]) == 11
    assert f"remove {HEAD}" in capsys.readouterr().err
    (to / HEAD).unlink()
    assert run(["store", "verify", "--home", str(to)]) == 0


def _documented_backup():
    page = Path(__file__).parents[3] / "docs" / "how-to" / "run-the-workstation.md"
    return page.read_text(encoding="utf-8").split("\n## Backup\n")[1].split("\n## ")[0]
