"""``hilum serve``, ``hilum user`` and ``hilum store`` as commands."""

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
    return ["--home", str(tmp_path / "data")]


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
    assert run(["store", "verify", *data]) == 0
    assert capsys.readouterr().out == "the log is whole: 2 lines\n"
    assert run(["store", "log", "--json", *data]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == ["user-added", "token-added"]
    for after, expected in (("0", lines), ("1", lines[1:]), ("2", [])):
        assert run(["store", "log", "--json", "--after", after, *data]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert found == expected
    store = open_store(f"sqlite:///{_folder(data) / 'store.db'}")
    with store.write() as session:
        session.execute(text("DROP TRIGGER log_never_update"))
        session.execute(text("UPDATE log SET who = 'eve' WHERE seq = 1"))
    store.close()
    assert run(["store", "verify", *data]) == errors.StoreError.exit_code
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


def test_a_command_with_another_folder_of_data_is_refused(data, tmp_path, capsys):
    """Else it would seal its line with a key of its own, and the log would be broken."""
    run(["user", "add", "script", "--token", *data])
    store = ["--store", f"sqlite:///{_folder(data) / 'store.db'}"]
    elsewhere = ["--home", str(tmp_path / "elsewhere")]
    assert run(["user", "add", "anna", "--token", *store, *elsewhere]) == 6
    assert "another folder of data" in capsys.readouterr().err
    assert run(["serve", "--port", "0", *store, *elsewhere]) == 6
    assert run(["store", "verify", *data]) == 0


@pytest.mark.parametrize("verb", [["store", "verify"], ["store", "log"], ["user", "list"]])
def test_a_folder_that_holds_no_workstation_is_not_made_one(verb, tmp_path, capsys):
    assert run([*verb, "--home", str(tmp_path / "typo")]) == 6
    assert "no workstation here" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("name", ["local", "Local", "hilum", "HILUM"])
def test_names_that_the_log_uses_are_taken(data, name, capsys):
    """A person 'hilum' could sign what a machine did; 'local' is who comes by the link."""
    assert run(["user", "add", name, "--token", *data]) == 6
    assert "choose another name" in capsys.readouterr().err


def test_a_forgotten_password_is_replaced_and_a_person_is_shut_out(data, capsys, monkeypatch):
    from hilum.apps.store.people import begin_visit, check_password, find_person, find_visit

    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    run(["user", "add", "anna", *data])
    store = open_store(f"sqlite:///{_folder(data) / 'store.db'}")
    with store.write() as session:
        _, cookie = begin_visit(session, find_person(session, "anna"), 60_000)
    monkeypatch.setattr("sys.stdin", io.StringIO("another long password\n"))
    assert run(["user", "change", "anna", "--password", "--role", "administrator", *data]) == 0
    with store.read() as session:
        assert check_password(session, "anna", "a long enough password") is None
        assert check_password(session, "anna", "another long password").role == "administrator"
        assert find_visit(session, cookie) is None
    assert run(["user", "change", "anna", "--disable", *data]) == 0
    with store.read() as session:
        assert check_password(session, "anna", "another long password") is None
    store.close()
    assert run(["user", "change", "anna", "--enable", *data]) == 0
    capsys.readouterr()
    assert run(["user", "change", "bert", "--disable", *data]) == 6
    assert "no 'bert'" in capsys.readouterr().err
    assert run(["user", "change", "anna", *data]) == 6
    assert "nothing to change" in capsys.readouterr().err
    run(["store", "log", "--json", *data])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == ["user-added", *3 * ["user-changed"]]
    assert lines[1]["data"]["changed"] == ["password", "role"]


def test_what_is_kept_is_its_owners_alone_even_in_an_open_folder(data):
    folder = _folder(data)
    folder.mkdir(mode=0o755)
    run(["user", "add", "script", "--token", *data])
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_who_serves_beyond_this_machine_without_https_is_warned(data, capsys, monkeypatch):
    folder = _folder(data)
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    run(["user", "add", "anna", *data])
    monkeypatch.setattr("hilum.apps.web.serve._Server.run", lambda *_, **__: None)
    beyond = ["serve", "--host", "0.0.0.0", "--port", "0", *data]
    assert run(beyond) == 0
    assert "https = true" in capsys.readouterr().out
    (folder / "hilum.toml").write_text("https = true\n")
    assert run(beyond) == 0
    assert run(["serve", "--port", "0", *data]) == 0
    assert "https = true" not in capsys.readouterr().out


def test_a_calibration_that_an_upgrade_left_behind_is_not_left_out_silently(
    data, capsys, monkeypatch
):
    """Probabilities are others from then on, and nobody would know why."""
    from hilum.apps.store.tables import Setting
    from hilum.apps.web.bundles import KEY

    monkeypatch.setattr("hilum.apps.web.serve._Server.run", lambda *_, **__: None)
    assert run(["serve", "--port", "0", *data]) == 0
    assert "calibration" not in capsys.readouterr().out
    store = open_store(f"sqlite:///{_folder(data) / 'store.db'}")
    with store.write() as session:
        value = {"base": "0" * 64, "folder": "0a1b2c3d4e5f6071", "before": None, "can_undo": True}
        session.add(Setting(key=KEY, value=value))
    store.close()
    assert run(["serve", "--port", "0", *data]) == 0
    assert "fitted to another bundle" in capsys.readouterr().out
