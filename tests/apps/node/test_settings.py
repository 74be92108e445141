"""The table [node]: what is wrong is said before anything listens."""

from __future__ import annotations

import pytest

from hilum.apps.cli.main import run
from hilum.apps.node.settings import Node, Peer
from hilum.apps.web.settings import Settings, load_settings
from hilum.core.errors import ConfigError

PEER = {"name": "pacs", "ae_title": "ARCHIVE"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"aetitle": "X"}, "did you mean 'ae_title'?"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, "1 to 16 characters"),
        ({"ae_title": "A\\B"}, "no backslash"),
        ({"ae_title": " "}, "1 to 16"),
        ({"listen": "11112"}, "is not HOST:PORT"),
        ({"listen": "0.0.0.0:11112"}, "accept_any"),
        ({"listen": "[::]:11112", "peers": [PEER | {"receive": False}]}, "accept_any"),
        ({"peers": [PEER, PEER]}, "two peers are called 'pacs'"),
        ({"peers": [PEER, PEER | {"name": "b"}]}, "two peers are called 'ARCHIVE'"),
        ({"peers": [PEER | {"addresses": ["10.0.0.0/99"]}]}, "10.0.0.0/99"),
        ({"peers": [PEER | {"port": 0}]}, "port"),
        ({"peers": [PEER | {"name": "other"}]}, "'other'"),
        ({"peers": [{"name": "a"}]}, "no ae_title"),
        ({"peers": [{"name": "a", "host": "h"}]}, "no ae_title"),
        ({"peers": [PEER | {"host": "h", "outbox": "out"}]}, "both host and outbox"),
        ({"peers": [{"name": "a", "outbox": "out", "commit": True}]}, "confirms nothing"),
        ({"peers": [{"name": n, "person": "p"} for n in "ab"]}, "two peers are called 'p'"),
        ({"read": []}, "read"),
        ({"others": "perhaps"}, "others"),
    ],
)
def test_what_is_wrong_is_named(table, said):
    with pytest.raises(ConfigError) as caught:
        Settings.parse({"node": table}, where="hilum.toml")
    assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ([("inbox", ".")], "holds the folder of data"),
        ([("inbox", "..")], "holds the folder of data"),
        ([("inbox", "films/ward")], "overlaps the folder 'films' of data"),
        ([("inbox", "x"), ("outbox", "x")], "overlaps the outbox of 'b'"),
        ([("outbox", "x/out"), ("inbox", "x")], "overlaps the outbox of 'a'"),
        ([("inbox", "x/done"), ("inbox", "y/../x")], "overlaps the inbox of 'b'"),
        ([("inbox", "x"), ("inbox", "link")], "overlaps the inbox of 'b'"),
    ],
)
def test_an_inbox_is_for_one_peer_alone(folders, said, tmp_path):
    (tmp_path / "link").symlink_to("x")
    tables = [
        f'[[node.peers]]\nname = "{name}"\n{kind} = "{folder}"\n'
        for name, (kind, folder) in zip("ab", folders, strict=False)
    ]
    (tmp_path / "hilum.toml").write_text("".join(tables))
    with pytest.raises(ConfigError, match=said):
        load_settings(tmp_path)


def test_inboxes_side_by_side_are_taken(tmp_path):
    table = '[[node.peers]]\nname = "{0}"\ninbox = "in/{0}"\noutbox = "out/"\n'
    (tmp_path / "hilum.toml").write_text(table.format("a") + table.format("ab"))
    assert [each.name for each in load_settings(tmp_path).node.peers] == ["a", "ab"]


def test_who_may_call_from_where():
    peers = (
        Peer(name="pacs", ae_title="ARCHIVE", addresses=("10.1.0.0/16", "fd00::/8")),
        Peer(name="modality", ae_title="DX1"),
        Peer(name="deaf", ae_title="DEAF", receive=False),
    )
    node = Node(peers=peers)
    assert node.caller("ARCHIVE", "10.1.2.3") == "pacs"
    assert node.caller("ARCHIVE", "::ffff:10.1.2.3") == "pacs"
    assert node.caller("ARCHIVE", "fd00::1") == "pacs"
    assert node.caller("ARCHIVE", "10.2.2.3") is None
    assert node.caller("DX1", "192.0.2.1") == "modality"
    assert node.caller("DEAF", "127.0.0.1") is None
    assert node.caller("OTHER", "127.0.0.1") is None
    assert Node(peers=peers, accept_any=True).caller("OTHER", "127.0.0.1") == "?OTHER"
    assert Node(peers=peers, accept_any=True).caller("pacs", "192.0.2.1") == "?pacs"
    assert Node(peers=peers, accept_any=True).caller("DEAF", "127.0.0.1") is None
    assert Node().caller("OTHER", "127.0.0.1") == "?OTHER"


def test_init_adds_the_table_once_and_keeps_the_rest(tmp_path, capsys):
    (tmp_path / "hilum.toml").write_text('zone = "Europe/Berlin"')
    assert run(["node", "init", "--home", str(tmp_path)]) == 0
    assert "AE title HILUM, host 127.0.0.1, port 11112" in capsys.readouterr().out
    written = (tmp_path / "hilum.toml").read_text()
    settings = load_settings(tmp_path)
    assert settings.zone == "Europe/Berlin"
    assert settings.node == Node()
    assert run(["node", "init", "--home", str(tmp_path)]) == 0
    assert (tmp_path / "hilum.toml").read_text() == written


def test_without_the_table_nothing_listens(tmp_path, capsys):
    for verb in ("run", "check", "conformance"):
        assert run(["node", verb, "--home", str(tmp_path)]) == 6
        assert "hilum node init" in capsys.readouterr().err
