"""Run a command where the only network is loopback, and write down every name that it asks for.

    unshare --mount --net python lonely.py FOLDER COMMAND...

The questions of all its processes go to FOLDER/questions, one a line; the answer is "no such name".
"""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41
_RESOLVER = {
    "resolv.conf": "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n",
    "nsswitch.conf": "hosts: files dns\n",
}


def main(folder: Path, command: list[str]) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sH14x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, up)
    for name, text in _RESOLVER.items():
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=_answer, args=(server, folder / "questions"), daemon=True).start()
    return subprocess.run(command, check=False).returncode


def _answer(server: socket.socket, file: Path) -> None:
    """RFC 1035 4.1: a header of 12 bytes, then the name as labels, each after its length."""
    while True:
        query, sender = server.recvfrom(4096)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        with file.open("a") as stream:
            stream.write(".".join(labels) + "\n")
        no_such_name = b"\x81\x83" + query[4:6] + bytes(6)
        server.sendto(query[:2] + no_such_name + query[12 : at + 5], sender)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
