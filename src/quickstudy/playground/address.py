"""Where the server listens."""

from __future__ import annotations

import errno
import socket

from quickstudy.errors import QuickstudyError

PORT, TRIED = 7860, 20
"""The first port that is tried where none is asked for, and how many."""
LOCAL = ("127.0.0.1", "localhost")
"""This machine's names for itself."""


def listen(host: str, port: int | None) -> socket.socket:
    """A socket at this address; where no port is given, at the first of twenty that is free.

    Raises:
        QuickstudyError: the port is taken, or the address is none of this machine's.
    """
    for tried in range(PORT, PORT + TRIED) if port is None else (port,):
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, tried))
            listening.listen()
            return listening
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                why = error.strerror or error
                raise QuickstudyError(f"cannot listen at {host}, port {tried} ({why}); give another --host or --port") from None
        except OverflowError:
            listening.close()
            raise QuickstudyError(f"--port {port}: give a number from 0 (any that is free) to 65535") from None
    taken = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + TRIED - 1} are"
    raise QuickstudyError(f"{taken} taken on {host}; give another with --port, or --port 0 for any that is free")
