"""Memory of a search's processes by kind, sampled once a second."""

import threading
import time

import psutil


class Memory:
    """Samples the resident memory of this process and its descendants, by kind, in a thread."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, dict[str, float]]] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            found: dict[str, float] = {"driver": _resident(psutil.Process())}
            for child in psutil.Process().children(recursive=True):
                kind = _kind(child)
                if kind:
                    found[kind] = max(found.get(kind, 0.0), _resident(child))
            self.samples.append((time.time(), found))
            time.sleep(1.0)

    def growth(self, ends: list[float]) -> dict[str, float]:
        """MB of the largest process of each kind while the first and the last tenth of the trials ended."""
        tenth = max(1, len(ends) // 10)
        spans = {"first": (ends[0], ends[tenth]), "last": (ends[-tenth], ends[-1])}
        found = {}
        for name, (start, stop) in spans.items():
            inside = [sample for moment, sample in self.samples if start <= moment <= stop]
            for kind in ("driver", "dispatcher", "host", "thin trial", "tracker"):
                values = [sample[kind] for sample in inside if kind in sample]
                found[f"{kind} MB, {name} tenth"] = sum(values) / len(values) if values else float("nan")
        return found


def _resident(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 1e6
    except psutil.Error:
        return 0.0


def _kind(process: psutil.Process) -> str | None:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None
    kinds = {"ray::DispatcherActor": "dispatcher", "ray::RayTrainWorker": "host", "ray::TuneTrial": "thin trial"}
    kinds |= {"ray::ResourceTrainable": "thin trial", "vaeforge.track.tracking_process": "tracker"}
    return next((kind for mark, kind in kinds.items() if mark in command), None)
