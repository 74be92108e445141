"""A store of each kind, and PostgreSQL started for the tests on loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest


def _tool(name):
    found = shutil.which(name)
    if found is None:
        inside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(inside[-1]) if inside else None
    return found


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """Address of a PostgreSQL server without its database name; it ends with the tests."""
    pytest.importorskip("psycopg")
    initdb, postgres = _tool("initdb"), _tool("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    root = Path("/tmp") / f"hilum-postgres-{secrets.token_hex(4)}"
    root.mkdir(mode=0o755)
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:  # PostgreSQL refuses root
        account = pwd.getpwnam(user)
        os.chown(root, account.pw_uid, account.pw_gid)
        become = {"user": account.pw_uid, "group": account.pw_gid}
    else:
        become = {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-U", "hilum", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
    env = {"PATH": os.environ["PATH"], "HOME": str(root)}
    subprocess.run(
        [initdb, "-D", str(root / "db"), *options],
        check=True,
        capture_output=True,
        cwd=root,
        env=env,
        **become,
    )
    quick = [
        "-c",
        "fsync=off",
        "-c",
        "max_connections=200",
        "-c",
        f"unix_socket_directories={root}",
    ]
    server = subprocess.Popen(
        [postgres, "-D", str(root / "db"), "-p", str(port), "-h", "127.0.0.1", *quick],
        cwd=root,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **become,
    )
    try:
        yield _when_up(port, server)
    finally:
        server.send_signal(signal.SIGINT)  # "fast": it does not wait for clients
        server.wait(30)
        shutil.rmtree(root, ignore_errors=True)


def _when_up(port, server):
    import time

    import psycopg

    address = f"postgresql://hilum@127.0.0.1:{port}"
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        try:
            psycopg.connect(f"{address}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return address
    raise RuntimeError("PostgreSQL did not start")


@pytest.fixture
def make_store_url(request, tmp_path):
    """Make the address of an empty store: ``make_store_url("postgresql")``."""

    def make(kind):
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / 'store.db'}"
        import psycopg

        server = request.getfixturevalue("postgresql")
        name = f"hilum_{secrets.token_hex(4)}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{server}/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, make_store_url):
    """Address of an empty store, of each kind."""
    return make_store_url(request.param)
