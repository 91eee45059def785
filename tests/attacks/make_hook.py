"""A sitecustomize that notes what every Python process does with the network (S10)."""

from __future__ import annotations

HOOK = """
import json, os, sys

_log = os.open(os.environ["ATTACK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(event, detail):
    os.write(_log, (json.dumps([event, detail]) + "\\n").encode())


def _hook(event, arguments):
    if event in ("socket.bind", "socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple):  # others are sockets of this machine, with a file name
            _note(event, repr(address))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _note(event, repr(arguments[0]))


_note("start", os.getpid())
sys.addaudithook(_hook)
"""
