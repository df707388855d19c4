"""Watch over Ray's own processes on this machine, whose end is that of the session.

Nothing that is connected to them can go on: calls of Ray wait for ever, or Ray ends this process, with exit code 1 and
without a word, as soon as it looks for what its object store held. The kernel tells of a process's end at once
(pidfd_open(2)), so that the search can say first what has happened. A node takes its leave once one of its agents has
ended, which are also the first that a signal to all processes of a job ends.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NoReturn

import psutil

NAMES = {"raylet": "node", "gcs_server": "control server"}
AGENT = "agent"
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py", "runtime_env/agent/main.py")
END_SECONDS = 10.0  # that killed processes may take to be gone
HELD_SECONDS = 10.0  # that a node which has been told to end may take for it


class NodeWatch:
    """While its block runs, calls `end` in a thread of its own as soon as one of Ray's own processes here has ended."""

    def __init__(self, end: Callable[[str], NoReturn], own: bool):
        """
        Args:
            end: told in words which process it was; ends this process.
            own: whether Ray is this process's own: then what is left of it is killed first.
        """
        self._end, self._own, self._lost = end, own, threading.Event()
        self._node: dict[int, int] = {}  # descriptors and numbers of the processes that are no agents
        self._opened = ExitStack()

    def __enter__(self) -> "NodeWatch":
        watched = {}
        for pid, called in _own_processes():
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                self._opened.callback(os.close, descriptor)
                watched[descriptor] = f"Ray's {called} on this machine (process {pid})"
                if called != AGENT:
                    self._node[descriptor] = pid
        over, end = os.pipe()
        self._opened.callback(os.close, over)
        thread = threading.Thread(target=self._watch, args=(watched, over), daemon=True)
        thread.start()
        self._opened.callback(thread.join)
        self._opened.callback(os.close, end)  # wakes the thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def hold(self) -> None:
        """After an error of Ray's: if the node's end is its cause, does not return, as the session is being ended."""
        if self._lost.wait(HELD_SECONDS):
            self._opened.close()

    def _watch(self, watched: dict[int, str], over: int) -> None:
        poll = select.poll()
        for descriptor in (*watched, over):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        ended = {descriptor for descriptor, _ in poll.poll()}
        if over not in ended:
            if self._own:
                self._kill()
            self._lost.set()
            self._end(watched[min(ended)])

    def _kill(self) -> None:
        """At once: a node that has time to take its leave has Ray end this process.

        Workers end once the node's number is gone, which it is when whoever started it has asked how it ended.
        """
        for descriptor in self._node:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        for pid in self._node.values():
            with suppress(psutil.Error):
                psutil.Process(pid).wait(END_SECONDS)


def _own_processes() -> Iterator[tuple[int, str]]:
    """Number and name of each process of Ray's node here, and of the cluster's where its head is here."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() in NAMES and any(node in argument for argument in process.cmdline()):
                yield process.pid, NAMES[process.name()]
                for child in process.children():
                    with suppress(psutil.Error):
                        if any(name in " ".join(child.cmdline()) for name in AGENTS):
                            yield child.pid, AGENT
