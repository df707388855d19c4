"""Process beside the server for work that would hold Python's lock for long: large documents, pictures, answers.

A thread would not do: while it parses 30 MB of JSON, nothing else of the process runs, not even an answer that it is
alive. One piece of work is done at a time; one that is cancelled, say as its time is up, ends with its process.
"""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from vaeforge.errors import ResourceError, VaeforgeError

T = TypeVar("T")
_CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, and not the threads


class WorkProcess:
    """Does work when it is asked to; its process is started by the first piece, and again after one that ended it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="work")
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    async def run(self, work: "partial[T]") -> T:
        """What `work`, a function of a module with arguments that can be pickled, returns.

        Raises:
            ResourceError: if the process ended, which the system does to one that takes too much memory.
            Exception: whatever `work` raises.
        """
        async with self._turn:
            try:
                done, result = await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, work)
            except BaseException:  # a task that is cancelled among them: its work must not go on
                self._end()
                raise
        if not done:
            raise result
        return result  # type: ignore[no-any-return]

    def _exchange(self, work: "partial[Any]") -> tuple[bool, Any]:
        if self._process is None or self._connection is None:
            self._connection, theirs = _CONTEXT.Pipe()
            self._process = _CONTEXT.Process(target=_work, args=(theirs,), name="vaeforge-work", daemon=True)
            self._process.start()
            theirs.close()  # so that an end of either process is an end of the connection
        try:
            self._connection.send(work)
            answer: tuple[bool, Any] = self._connection.recv()
        except (EOFError, OSError):
            raise ResourceError(
                "server: what read this request was ended, as by a system that is short of memory; send less at a time"
            ) from None
        return answer

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(1)
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def close(self) -> None:
        """End the process, whatever it does."""
        self._end()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _work(connection: Connection) -> None:
    """Do what comes through `connection` until its other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's own affair, which closes the connection
    while True:
        try:
            work: Callable[[], Any] = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, work())
        except (VaeforgeError, MemoryError) as error:
            answer = (False, error)
        except Exception as error:  # not all exceptions can be pickled
            answer = (False, RuntimeError(f"{type(error).__name__}: {error}"))
        connection.send(answer)
