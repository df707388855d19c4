"""A person's terminal: lines of a shell one after the other, which share its folder and its environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

from project import CODE_PATH

STATE = 'code=$?; pwd > "$TERMINAL/pwd"; export -p > "$TERMINAL/env"; exit $code'
ADDRESS = re.compile(r"http://[\d.:]+")
FOREVER = ("vaeforge serve", "--browser")  # until somebody ends them


class Terminal:
    """A shell in `folder`, whose own files lie in `state`; `more` is set in its environment."""

    def __init__(self, folder: Path, state: Path, **more: str):
        self._state, self._more = state, more
        state.mkdir(parents=True, exist_ok=True)
        (state / "pwd").write_text(str(folder), encoding="utf-8")
        (state / "env").write_text("", encoding="utf-8")

    @property
    def folder(self) -> Path:
        """Where it is now."""
        return Path((self._state / "pwd").read_text(encoding="utf-8").strip())

    def run(self, line: str, codes: tuple[int, ...] = (0,), seconds: float = 480) -> str:
        """What a line says, which must end with one of `codes`; what would go on for ever is ended once it answers."""
        if any(words in line for words in FOREVER):
            return self._started(line)
        script = f'source "$TERMINAL/env"\n{line}\n{STATE}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        said = done.stdout + done.stderr
        assert done.returncode in codes, f"$ {line}\n{said}\nended with {done.returncode}, not {codes}"
        return said

    def _started(self, line: str) -> str:
        """The first lines of a server, up to its address."""
        line = re.sub(r"--port \d+", "--port 0", line)
        process = subprocess.Popen(
            ["bash", "-c", f'source "$TERMINAL/env"\nexec {line}'],
            cwd=self.folder,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        try:
            assert process.stdout is not None
            for text in process.stdout:
                said += text
                if ADDRESS.search(text):
                    return said
            raise AssertionError(f"$ {line}\n{said}\nended without an address")
        finally:
            process.terminate()
            process.wait(60)
            if process.stdout is not None:
                process.stdout.close()

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_", "AWS_"))}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
        settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "200"}
        return kept | person | settings | {"PYTHONPATH": CODE_PATH, "TERMINAL": str(self._state)} | self._more


PERSON = {"NAME": "Us", "EMAIL": "us@example.org"}
