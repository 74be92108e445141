"""``hilum serve``, ``hilum user`` and ``hilum log`` as commands."""

from __future__ import annotations

import io
import json

import pytest
from sqlalchemy import text

from hilum.apps.cli.main import run
from hilum.apps.store.store import open_store
from hilum.core import errors


@pytest.fixture
def data(tmp_path):
    return ["--data", str(tmp_path / "data")]


def test_users_are_added_by_password_and_by_token(data, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    assert run(["user", "add", "anna", "--role", "administrator", *data]) == 0
    assert "administrator" in capsys.readouterr().out
    assert run(["user", "add", "script", "--token", *data]) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("hilum_")
    assert run(["user", "add", "script", "--token", *data]) == 0
    assert capsys.readouterr().out.strip() != token
    assert run(["user", "list", *data]) == 0
    assert capsys.readouterr().out == "anna  administrator\nscript  reviewer\n"
    stored = "".join(
        path.read_bytes().decode("latin-1") for path in _folder(data).rglob("*") if path.is_file()
    )
    assert token not in stored
    assert "a long enough password" not in stored


def _folder(data):
    from pathlib import Path

    return Path(data[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["user", "add", "anna", "--role", "revewer", "--token"], "did you mean 'reviewer'"),
        (["user", "add", "a b", "--token"], "a name is"),
    ],
)
def test_wrong_users_are_one_line(data, arguments, words, capsys):
    assert run([*arguments, *data]) == errors.ConfigError.exit_code
    assert words in capsys.readouterr().err


def test_a_short_password_is_refused(data, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run(["user", "add", "anna", *data]) == errors.ConfigError.exit_code
    assert "10 to 1024" in capsys.readouterr().err


def test_the_log_is_verified_and_shown(data, capsys):
    run(["user", "add", "script", "--token", *data])
    capsys.readouterr()
    assert run(["log", "verify", *data]) == 0
    assert capsys.readouterr().out == "the log is whole: 2 lines\n"
    assert run(["log", "show", *data]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == ["user-added", "token-added"]
    store = open_store(f"sqlite:///{_folder(data) / 'store.db'}")
    with store.write() as session:
        session.execute(text("DROP TRIGGER log_never_update"))
        session.execute(text("UPDATE log SET who = 'eve' WHERE seq = 1"))
    store.close()
    assert run(["log", "verify", *data]) == errors.StoreError.exit_code
    assert "line 1 is not what was written" in capsys.readouterr().err


def test_serving_beyond_loopback_needs_people(data, capsys):
    assert run(["serve", "--host", "0.0.0.0", "--port", "0", *data]) == 6
    assert "hilum user add" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(data, capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port, *data]) == 6
    assert "choose another --port" in capsys.readouterr().err


def test_settings_are_checked(data, capsys):
    folder = _folder(data)
    folder.mkdir()
    (folder / "hilum.toml").write_text("[limits]\nfile_mbb = 3\n")
    assert run(["serve", "--port", "0", *data]) == 6
    assert "did you mean 'file_mb'" in capsys.readouterr().err


def test_a_damaged_bundle_is_said_before_anything_is_served(data, make_bundle, tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "LICENSE").write_text("changed")
    code = run(["serve", "--port", "0", "--bundle", str(bundle), *data])
    assert code == errors.BundleError.exit_code
    assert "LICENSE" in capsys.readouterr().err
