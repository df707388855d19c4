"""Steps that a GPU runs as one captured graph: launched at once instead of kernel by kernel.

A graph repeats the operations of the step that was captured, on the same addresses. So it may stand for every step of
the same form, because all that differs between them lies in tensors there (`step_runner.ResidentSteps`), and it learns
what the same steps learn one by one. The first steps of a form run one by one: libraries set themselves up in them.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import torch

from vaeforge.training.step_runner import ResidentSteps, StepLayout

CompileMode = Literal["off", "graph", "auto"]
WARM_UP = 3  # steps of a form before it is captured
MEASURED = 8  # steps of either kind that `auto` compares
AHEAD = 16  # steps that may be launched and not done


class CapturedSteps(ResidentSteps):
    """Resident steps of one training on a GPU, captured by their form; `mode` is that of `StepCapture`."""

    def __init__(self, *arguments: Any, mode: CompileMode):
        super().__init__(*arguments)
        self._capture = StepCapture(self.step, self._layouts[0], mode, self.notes)

    def run(self, epoch: int, on_step: Callable[[], None]) -> None:
        super().run(epoch, lambda: self._capture.keep_pace(on_step))
        self._capture.drain(on_step)

    def _run_step(self, layout: StepLayout) -> None:
        self._capture.run(layout)


class StepCapture:
    """Graphs of steps, by the form of a step.

    Args:
        step: does a step of a form, all of whose numbers lie on the GPU.
        main: the form of most steps.
        mode: `graph` captures every form; `auto` measures both kinds and keeps the faster one.
        notes: takes what a person should know.
    """

    def __init__(self, step: Callable[[StepLayout], None], main: StepLayout, mode: CompileMode, notes: list[str]):
        self._step, self._main, self._mode, self._notes = step, main, mode, notes
        self._seen: dict[StepLayout, int] = {}
        self._graphs: dict[StepLayout, torch.cuda.CUDAGraph] = {}
        self._seconds: dict[str, float] = {"one by one": 0.0, "graph": 0.0}
        self._warm_up = WARM_UP + (MEASURED if mode == "auto" else 0)
        self._launched: deque[torch.cuda.Event] = deque()

    @property
    def settling(self) -> int:
        """Steps of a form until it runs as it will go on."""
        return self._warm_up + (MEASURED if self._mode == "auto" else 0) + 1

    def drain(self, on_step: Callable[[], None]) -> None:
        """Wait for all that was launched, and tell of each."""
        while self._launched:
            self._launched.popleft().synchronize()
            on_step()

    def keep_pace(self, on_step: Callable[[], None]) -> None:
        """Tell of a step when the device has done it, and let the host run ahead by no more than a few."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._launched.append(event)
        if len(self._launched) > AHEAD:
            self._launched.popleft().synchronize()
            on_step()

    def run(self, layout: StepLayout) -> None:
        """The next step, of the form `layout`."""
        seen = self._seen[layout] = self._seen.get(layout, 0) + 1
        if self._mode != "off" and seen > self._warm_up and layout not in self._graphs:
            self._capture(layout)
        graph = self._graphs.get(layout)
        main = layout == self._main
        if self._mode == "auto" and main and WARM_UP < seen <= self._warm_up + MEASURED:
            self._measure(layout, graph)
            if seen == self._warm_up + MEASURED:
                self._decide()
        elif graph is not None:
            graph.replay()
        else:
            self._beside(layout)

    def _beside(self, layout: StepLayout) -> None:
        """The step by itself, on a stream of its own while a capture may still follow, as torch asks for."""
        if self._mode == "off":
            self._step(layout)
            return
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._step(layout)
        current.wait_stream(stream)

    def _capture(self, layout: StepLayout) -> None:
        """Capture a form; where a model does what a graph cannot hold, say so and go on one by one."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._step(layout)
        except RuntimeError as error:
            self._mode = "off"
            self._graphs.clear()
            reason = str(error).splitlines()[0]
            self._notes.append(
                f"training.compile: this model's steps cannot be captured ({reason}); they run one by one"
            )
            return
        self._graphs[layout] = graph

    def _measure(self, layout: StepLayout, graph: torch.cuda.CUDAGraph | None) -> None:
        torch.cuda.synchronize()
        started = time.perf_counter()
        if graph is None:
            self._beside(layout)
        else:
            graph.replay()
        torch.cuda.synchronize()
        self._seconds["one by one" if graph is None else "graph"] += time.perf_counter() - started

    def _decide(self) -> None:
        alone, captured = self._seconds["one by one"], self._seconds["graph"]
        kept = "as graphs" if captured < alone else "one by one"
        per_step = 1e3 / MEASURED
        self._notes.append(
            f"training.compile auto: {alone * per_step:.2f} ms a step one by one, {captured * per_step:.2f} ms as a "
            f"graph; steps run {kept}"
        )
        if captured >= alone:
            self._mode = "off"
            self._graphs.clear()
        else:
            self._mode = "graph"
