"""TLS: who has no certificate of the site's authority is neither taken from nor sent to."""

from __future__ import annotations

import datetime
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hilum.apps.cli.main import run
from hilum.apps.node.settings import Node
from hilum.apps.store.tables import Film
from hilum.core.errors import ConfigError

TLS = '[node.tls]\ncertificate = "node.pem"\nkey = "node.key"\npeers = "ca.pem"\n'


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(subject, key, issuer, issuer_key, *, authority):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two authorities, site and stranger; of each ca.pem, node.pem, node.key."""
    root = tmp_path_factory.mktemp("certificates")
    for name in ("site", "stranger"):
        folder = root / name
        folder.mkdir()
        keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
        ca = _signed(name, keys[0], name, keys[0], authority=True)
        node = _signed("node", keys[1], name, keys[0], authority=False)
        for file, made in (("ca.pem", ca), ("node.pem", node)):
            (folder / file).write_bytes(made.public_bytes(serialization.Encoding.PEM))
        key = folder / "node.key"
        key.write_bytes(
            keys[1].private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        key.chmod(0o600)
    return root


@pytest.fixture
def secure(make_node, site):
    """A receiver that speaks TLS."""
    return make_node(TLS, files=site / "site")


def _with(folder, ca):
    return ["+tls", folder / "node.key", folder / "node.pem", "+cf", ca / "ca.pem"]


def test_only_who_has_a_certificate_of_the_site_may_send(secure, site, make_dicom):
    path = make_dicom(1)
    good, bad = site / "site", site / "stranger"
    sent = secure.dcmtk("storescu", *_with(good, good), path)
    assert sent.code == 0, sent.text
    assert secure.dcmtk("storescu", path).code != 0  # plain
    assert secure.dcmtk("storescu", "+tla", "+cf", good / "ca.pem", path).code != 0  # anonymous
    assert secure.dcmtk("storescu", *_with(bad, good), path).code != 0
    assert secure.dcmtk("storescu", *_with(good, bad), path).code != 0  # it does not believe us
    assert len(secure.all(Film)) == 1


def test_who_says_nothing_keeps_nobody_waiting(secure, site):
    silent = [socket.create_connection(("127.0.0.1", secure.port)) for _ in range(10)]
    assert secure.dcmtk("echoscu", *_with(site / "site", site / "site")).code == 0
    for each in silent:
        each.close()


def test_a_peer_is_called_by_tls(secure, site, tmp_path, capsys):
    def check(certificates, **peer):
        data = tmp_path / f"caller{len(list(tmp_path.iterdir()))}"
        data.mkdir()
        for file in certificates.iterdir():
            (data / file.name).write_bytes(file.read_bytes())
            (data / file.name).chmod(0o600)
        more = "".join(f"{key} = {value}\n" for key, value in peer.items())
        (data / "hilum.toml").write_text(
            f"{TLS}[[node.peers]]\nname = 'p'\nae_title = 'HILUM'\nhost = '127.0.0.1'\n"
            f"port = {secure.port}\ntimeout_s = 10\n{more}"
        )
        return run(["node", "check", "--home", str(data)])

    assert check(site / "site", tls="true") == 0
    assert "p: answers C-ECHO by TLS" in capsys.readouterr().out
    assert check(site / "stranger", tls="true") == 12
    assert check(site / "site", tls="false") == 12


@pytest.mark.parametrize("wrong", ["missing", "readable", "other", "words"])
def test_wrong_files_are_said_before_anything_listens(site, tmp_path, wrong):
    for file in (site / "site").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    key = tmp_path / "node.key"
    if wrong == "missing":
        key.unlink()
    elif wrong == "readable":
        key.chmod(0o644)
    elif wrong == "other":
        key.write_bytes((site / "stranger" / "node.key").read_bytes())
    else:
        (tmp_path / "ca.pem").write_text("words")
    tls = {"certificate": "node.pem", "key": "node.key", "peers": "ca.pem"}
    node = Node.parse({"tls": tls}, where="hilum.toml")
    with pytest.raises(ConfigError):
        node.tls.context(tmp_path, server=True)


def test_old_versions_are_not_spoken(secure, site):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(site / "site" / "ca.pem")
    context.load_cert_chain(site / "site" / "node.pem", site / "site" / "node.key")
    context.check_hostname = False
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port)) as wire, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(wire)


def test_a_peer_by_tls_needs_the_files():
    peer = {"name": "p", "ae_title": "A", "host": "h", "tls": True}
    with pytest.raises(ConfigError, match=r"no \[node.tls\]"):
        Node.parse({"peers": [peer]}, where="hilum.toml")
