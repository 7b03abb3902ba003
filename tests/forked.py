"""Processes that begin with torch and ganvas loaded: a server imports them once and forks itself for each command.

A command still runs in a process of its own, with its own words, folder, environment, output and exit code; what it saves is
the seconds of import. Not for tests of start-up, of what is imported, or of signals: those start Python itself (`toys.start`).
"""

from __future__ import annotations

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_server: tuple[subprocess.Popen[bytes], socket.socket] | None = None


def run(words: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float) -> tuple[int, str, str]:
    """`ganvas WORDS` in a forked process: (exit code, standard output, standard error).

    A process that a signal ended has its number below zero, as with `subprocess`. Raises TimeoutExpired.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        control = _connected()
        request = json.dumps({"words": list(words), "environment": dict(environment), "folder": str(folder)}).encode()
        files = array.array("i", [out.fileno(), err.fileno()])
        control.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        control.sendall(request)
        process = int(_line(control))
        control.settimeout(timeout)
        try:
            code = int(_line(control))
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            control.settimeout(None)
            _line(control)
            raise subprocess.TimeoutExpired(list(words), timeout) from None
        finally:
            control.settimeout(None)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return code, texts[0], texts[1]


def _line(control: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\n"):
        piece = control.recv(1)
        if not piece:
            raise RuntimeError("the server of forked processes ended")
        text += piece
    return text.decode()


def _connected() -> socket.socket:
    global _server
    if _server is None or _server[0].poll() is not None:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        _server = process, ours
        atexit.register(_end, process, ours)
    return _server[1]


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()  # the server ends when nobody is left to ask it
    process.wait()


def _serve(control: socket.socket) -> None:
    import torch  # noqa: F401

    import ganvas.cli
    import ganvas.run.train  # noqa: F401

    while True:
        head, further, _, _ = control.recvmsg(4, socket.CMSG_SPACE(2 * array.array("i").itemsize))
        if not head:
            return
        files = array.array("i")
        files.frombytes(further[0][2])
        size, request = int.from_bytes(head, "big"), b""
        while len(request) < size:
            request += control.recv(size - len(request))
        process = os.fork()
        if not process:
            control.close()
            _become(json.loads(request), *files)
        for file in files:
            os.close(file)
        control.sendall(f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        control.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(request: dict[str, object], out: int, err: int) -> None:
    """Be the command, in a process that the server has just forked; does not return."""
    import runpy
    import traceback

    code = 1
    try:
        for own, given in ((1, out), (2, err)):
            os.dup2(given, own)
            os.close(given)
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        os.chdir(str(request["folder"]))
        sys.argv = ["ganvas", *request["words"]]  # type: ignore[misc]
        runpy.run_module("ganvas", run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
