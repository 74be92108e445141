"""Fetch, against a server on loopback: resume, checksum, consent, mirror, 404."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hilum.core.errors import CohortError
from hilum.data.catalog import CATALOG, CatalogEntry, Remote
from hilum.data.fetch import MIRROR_VARIABLE, RECORD, fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server:
    """Serves bytes by path; knows how to cut a connection, and what it was asked."""

    def __init__(self):
        self.files = {}
        self.cut_after = {}
        self.fail = {}
        self.ranges = True
        self.asked = []
        handler = partial(_Handler, self)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def etag(self, path):
        return f'"{hashlib.sha256(self.files[path]).hexdigest()[:8]}"'


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server, *args):
        self.told = server
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_GET(self):
        told, path = self.told, self.path
        asked = self.headers.get("Range")
        told.asked.append((path, asked))
        if told.fail.get(path):
            self.send_error(told.fail[path].pop())
            return
        if path not in told.files:
            self.send_error(404)
            return
        body, start = told.files[path], 0
        fits = self.headers.get("If-Range") in (None, told.etag(path))
        if asked and told.ranges and fits:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", told.etag(path))
        self.end_headers()
        cuts = told.cut_after.get(path)
        stop = start + cuts.pop() if cuts else len(body)
        self.wfile.write(body[start:stop])


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def entry(*remotes, how=""):
    return CatalogEntry("films", "a test", 1, "1 MB", "CC0", "nobody", "http://x", remotes, how)


def get(an_entry, root, **options):
    return fetch(an_entry, root, accept_licence=True, patience_s=0.0, **options)


def a_zip(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, text in members.items():
            packed.writestr(name, text)
    return stream.getvalue()


def test_a_file_is_fetched_checked_recorded_and_not_fetched_again(server, tmp_path):
    server.files["/a.bin"] = BODY
    seen = []
    one = entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST))
    (file,) = get(one, tmp_path, progress=lambda *told: seen.append(told))
    assert (file.new, file.checked, file.sha256) == (True, True, DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert seen[-1] == ("a.bin", len(BODY), len(BODY))
    assert json.loads((tmp_path / RECORD).read_text())["a.bin"]["sha256"] == DIGEST
    (again,) = get(one, tmp_path)
    assert not again.new
    assert len(server.asked) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", RECORD]


def test_a_cut_connection_goes_on_from_the_last_byte(server, tmp_path):
    server.files["/a.bin"] = BODY
    server.cut_after["/a.bin"] = [300_000, 500_000]
    (file,) = get(entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST)), tmp_path)
    assert file.sha256 == DIGEST
    ranges = [asked for _, asked in server.asked]
    assert ranges == [None, "bytes=500000-", "bytes=800000-"]


def test_a_killed_download_goes_on_in_the_next_run(server, tmp_path):
    server.files["/a.bin"] = BODY
    server.cut_after["/a.bin"] = [1000] * 5
    one = entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST))
    with pytest.raises(CohortError, match=r"cut, 5 times") as caught:
        get(one, tmp_path)
    assert "goes on from there" in caught.value.hint
    assert not (tmp_path / "a.bin").exists()
    get(one, tmp_path)
    assert server.asked[-1][1] == "bytes=5000-"
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_server_without_ranges_sends_it_again(server, tmp_path):
    server.files["/a.bin"] = BODY
    server.ranges = False
    server.cut_after["/a.bin"] = [1000]
    get(entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST)), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_file_that_changed_on_the_server_is_not_glued(server, tmp_path):
    server.files["/a.bin"] = BODY
    server.cut_after["/a.bin"] = [1000] * 5
    one = entry(Remote("a.bin", f"{server.url}/a.bin"))
    with pytest.raises(CohortError):
        get(one, tmp_path)
    server.files["/a.bin"] = BODY[::-1]
    get(one, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BODY[::-1]


def test_a_part_that_is_longer_than_the_file_starts_afresh(server, tmp_path):
    server.files["/a.bin"] = BODY
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    get(entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST)), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_server_in_trouble_is_asked_again(server, tmp_path):
    server.files["/a.bin"] = BODY
    server.fail["/a.bin"] = [503, 500]
    get(entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST)), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_wrong_checksum_deletes_the_file(server, tmp_path):
    server.files["/a.bin"] = BODY[:-1] + b"x"
    with pytest.raises(CohortError, match=r"a\.bin: SHA-256 is [0-9a-f]{16}.*expected"):
        get(entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_published_checksum_it_says_so(server, tmp_path):
    server.files["/a.bin"] = BODY
    (file,) = get(entry(Remote("a.bin", f"{server.url}/a.bin")), tmp_path)
    assert (file.checked, file.sha256) == (False, DIGEST)


def test_a_file_that_was_changed_here_is_fetched_again(server, tmp_path):
    server.files["/a.bin"] = BODY
    one = entry(Remote("a.bin", f"{server.url}/a.bin", DIGEST))
    get(one, tmp_path)
    (tmp_path / "a.bin").write_bytes(b"spoilt")
    (file,) = get(one, tmp_path)
    assert file.new
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_refused_consent_fetches_nothing(server, tmp_path):
    server.files["/a.bin"] = BODY
    one = entry(Remote("a.bin", f"{server.url}/a.bin"))
    with pytest.raises(CohortError, match="licence not accepted"):
        fetch(one, tmp_path / "new", accept_licence=False)
    assert server.asked == []
    assert not (tmp_path / "new").exists()


def test_404_names_the_address_at_once(server, tmp_path):
    with pytest.raises(CohortError, match=r"/gone\.bin: the server answers 404"):
        get(entry(Remote("gone.bin", f"{server.url}/gone.bin")), tmp_path)
    assert len(server.asked) == 1


def test_no_server_at_all(tmp_path):
    with pytest.raises(CohortError, match="5 times"):
        get(entry(Remote("a.bin", "http://127.0.0.1:9/a.bin")), tmp_path)


def test_a_collection_without_an_address_says_how_to_get_it(tmp_path):
    with pytest.raises(CohortError, match="without a login") as caught:
        get(entry(how="ask the hospital"), tmp_path, mirror="")
    assert "ask the hospital" in caught.value.hint


def test_a_mirror_with_sums_is_taken_as_it_is(server, tmp_path):
    lines = f"{DIGEST}  deep/a.bin\n{hashlib.sha256(b'b').hexdigest()} *b c.txt\n"
    server.files |= {"/m/films/SHA256SUMS": lines.encode()}
    server.files |= {"/m/films/deep/a.bin": BODY, "/m/films/b%20c.txt": b"b"}
    files = get(entry(how="by hand"), tmp_path, mirror=f"{server.url}/m/")
    assert [(file.file, file.checked) for file in files] == [
        ("deep/a.bin", True),
        ("b c.txt", True),
    ]
    assert (tmp_path / "deep" / "a.bin").read_bytes() == BODY


def test_a_mirror_without_sums_has_the_files_of_the_catalog(server, tmp_path):
    server.files["/m/films/a.bin"] = BODY
    one = entry(Remote("a.bin", "http://127.0.0.1:9/never", DIGEST))
    (file,) = get(one, tmp_path, mirror=f"{server.url}/m")
    assert file.checked


def test_a_folder_is_a_mirror_and_the_environment_may_name_it(tmp_path, monkeypatch):
    mirror = tmp_path / "mirror" / "films"
    mirror.mkdir(parents=True)
    (mirror / "a.bin").write_bytes(BODY)
    (mirror / "SHA256SUMS").write_text(f"{DIGEST}  a.bin\n")
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    (file,) = get(entry(), tmp_path / "out")
    assert (file.checked, (tmp_path / "out" / "a.bin").read_bytes()) == (True, BODY)


def test_a_mirror_that_lacks_a_file_or_is_no_folder(tmp_path):
    (tmp_path / "mirror" / "films").mkdir(parents=True)
    one = entry(Remote("a.bin", "http://127.0.0.1:9/never"))
    with pytest.raises(CohortError, match=r"a\.bin: no such file"):
        get(one, tmp_path / "out", mirror=str(tmp_path / "mirror"))
    with pytest.raises(CohortError, match="no such folder"):
        get(one, tmp_path / "out", mirror=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil"])
def test_a_mirror_cannot_write_outside_the_folder(tmp_path, name):
    mirror = tmp_path / "mirror" / "films"
    mirror.mkdir(parents=True)
    (mirror / "SHA256SUMS").write_text(f"{DIGEST}  {name}\n")
    with pytest.raises(CohortError, match="SHA256SUMS line 1"):
        get(entry(), tmp_path / "out", mirror=str(tmp_path / "mirror"))


def test_an_archive_is_unpacked_and_not_fetched_again(server, tmp_path):
    server.files["/a.zip"] = a_zip(**{"repo-master/images/1.png": "x", "repo-master/t.csv": "y"})
    one = entry(Remote("a.zip", f"{server.url}/a.zip", unpack=True, strip=1))
    get(one, tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert found == {"images/1.png", "t.csv", RECORD}
    (again,) = get(one, tmp_path)
    assert not again.new


def test_an_archive_cannot_write_outside_the_folder(server, tmp_path):
    server.files["/a.zip"] = a_zip(**{"../evil.txt": "x"})
    with pytest.raises(CohortError, match="leaves the folder"):
        get(entry(Remote("a.zip", f"{server.url}/a.zip", unpack=True)), tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()


def test_an_archive_that_is_none(server, tmp_path):
    server.files["/a.zip"] = b"<html>log in first</html>"
    with pytest.raises(CohortError, match="not a sound zip archive"):
        get(entry(Remote("a.zip", f"{server.url}/a.zip", unpack=True)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_the_lists_of_covidx_pass_the_checksums_of_the_catalog(data_root, tmp_path):
    """The digests in the catalog are those of the lists as published."""
    known = {remote.file: remote.sha256 for remote in CATALOG["covidx"].remotes}
    for file, digest in known.items():
        if digest:
            body = (data_root / "covidx-lists" / file).read_bytes()
            assert hashlib.sha256(body).hexdigest() == digest
