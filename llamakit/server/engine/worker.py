"""The engine's process: it loads the model, and serves messages from the web process until that is gone.

It is started as `python -m llamakit.server.engine.worker FD LOG`, where FD is one end of a pair of sockets, and LOG
what `logs.inherited` gave. The first message says which model to load; Ready or NotLoaded is the answer.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from llamakit.errors import LlamakitError
from llamakit.server.arenas import use_one_arena
from llamakit.server.engine.frames import frame, receive
from llamakit.server.operations import logs

if TYPE_CHECKING:
    from llamakit.server.engine.messages import FromEngine
    from llamakit.server.settings import ModelSettings

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
FAILED = 70  # exit code of a mistake of ours
LEFT_TO_THE_WEB_PROCESS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # which ends this one when it is time
USUAL = (2000, 10, 10)  # how often garbage is looked for, when all is loaded
SWITCH_INTERVAL = 5e-4  # seconds: the thread of the engine waits no longer than this for others to let Python go


def main(fd: int, log_options: str) -> int:
    logs.inherit(log_options)
    for number in LEFT_TO_THE_WEB_PROCESS:
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()
    threading.excepthook = end_at_once
    use_one_arena()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with socket.socket(fileno=fd) as connection:
        return serve(connection)


def serve(connection: socket.socket) -> int:
    """Until the web process has gone.   -> exit code, where it came to nothing"""
    from llamakit.server.engine.messages import NotLoaded, Ready
    from llamakit.server.engine.open import open_host

    sending = threading.Lock()

    def send(message: FromEngine) -> None:
        try:
            with sending:
                connection.sendall(frame(message))
        except OSError:  # nobody is there any more, and nothing is left to do
            os._exit(0)

    messages = receive(connection)
    settings: ModelSettings | None = next(messages, None)
    if settings is None:
        return 0
    with ExitStack() as opened:
        try:
            host = opened.enter_context(open_host(settings, send))
        except Exception as error:
            if not isinstance(error, LlamakitError):
                log.exception("the model cannot be loaded")
            send(NotLoaded(str(error) or repr(error)))
            return 1
        gc.freeze()  # what was loaded stays: there is no garbage to be looked for
        gc.set_threshold(*USUAL)
        send(Ready(host.info))
        for message in messages:
            host.handle(message)
        os._exit(0)  # nobody is there any more: what is left is memory, which the system takes back at once


def end_at_once(mistake: threading.ExceptHookArgs) -> None:
    """Of a thread that none of the others can do without: the web process starts the engine again."""
    log.critical("a thread of the engine has ended", exc_info=mistake.exc_value)
    os._exit(FAILED)


def die_with_parent() -> None:
    """On Linux, at once; elsewhere the closed socket tells."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(100_000, 20, 20)  # as in `llamakit.__main__`
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
