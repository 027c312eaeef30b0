"""What may be in no recording: words that tell on which machine it was made."""

from __future__ import annotations

import getpass
import ipaddress
import platform
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from streams.normalise.fates import Rejected
from streams.normalise.formats.remote_write import unpack

ADDRESS = re.compile(rb"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
LOOPBACK = b"127.0.0.1"
NOBODY = {"root", "localhost"}  # names that tell nothing
FOLDERS = tuple(f"/{name}/".encode() for name in ("tmp", "root", "home", "Users", "var/folders"))


def unpacked(content: bytes) -> bytes:
    """Undo snappy where it is that."""
    try:
        return unpack(content)
    except Rejected:
        return content


def addresses(content: bytes) -> set[bytes]:
    """Return the network addresses in it that are not this host's own."""
    return {found for found in ADDRESS.findall(content) if found != LOOPBACK and _is_address(found)}


def of_this_machine() -> set[bytes]:
    names = {socket.gethostname(), getpass.getuser(), platform.release(), str(Path.cwd()), str(Path.home())} - NOBODY
    return {name.encode() for name in names if len(name) > 2}


def private(contents: Iterable[bytes]) -> set[bytes]:
    """Return what has to be kept out; empty where all is well."""
    words = of_this_machine()
    found: set[bytes] = set()
    for content in map(unpacked, contents):
        found |= addresses(content) | {word for word in (*words, *FOLDERS) if word in content}
    return found


def _is_address(text: bytes) -> bool:
    try:
        ipaddress.IPv4Address(text.decode())
    except ValueError:
        return False
    return True
