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

from hilum.apps.store.store import open_store, sqlite_url


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


@pytest.fixture(scope="session")
def new_store(tmp_path_factory):
    """File of a store without a row: to copy it takes a tenth of what its migrations take."""
    path = tmp_path_factory.mktemp("new") / "store.db"
    open_store(sqlite_url(path)).close()
    return path


@pytest.fixture(scope="session")
def new_database(postgresql):
    """The same in PostgreSQL: the name of the database."""
    _create(postgresql, "new")
    open_store(f"{postgresql}/new").close()
    return "new"


def _create(server, name, template="template1"):
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server}/{name}"


@pytest.fixture
def put_store(new_store):
    """Put a store without a row where there is none, and say the address: ``put_store(folder)``."""

    def put(folder):
        path = folder / "store.db"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            shutil.copyfile(new_store, path)
        return sqlite_url(path)

    return put


@pytest.fixture
def make_store_url(request, tmp_path):
    """Make the address of a store without a row: ``make_store_url("postgresql")``.

    ``bare``: without a table, either.
    """

    def make(kind, bare=False):
        if kind == "sqlite" and bare:
            return sqlite_url(tmp_path / "store.db")
        if kind == "sqlite":
            return request.getfixturevalue("put_store")(tmp_path)
        server, name = request.getfixturevalue("postgresql"), f"hilum_{secrets.token_hex(4)}"
        if bare:
            return _create(server, name)
        return _create(server, name, request.getfixturevalue("new_database"))

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, make_store_url):
    """Address of an empty store, of each kind."""
    return make_store_url(request.param)
