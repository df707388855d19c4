"""The commands of README's section on data of one's own, and a clone with small settings in which they are run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from project import PARAMS, ROOT, SPACE, write_images

FILES = ("Makefile", "MLproject", "data.dvc", "pyproject.toml", "python_env.yaml", "requirements.lock", ".gitignore")
FOLDERS = (".dvc", "platform", "models")
NAME = "kvasir-dataset-v2"  # as README calls the folder
GATES = ("gates.min_active_units=0", "gates.calibration=1.0")


def documented() -> list[str]:
    """The commands of the section, without their remarks."""
    (section,) = re.findall(r"## Your own data\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S)
    lines = re.findall(r"```\n(.*?)```", section, re.S)[0].splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def pictures(home: Path) -> None:
    """A folder of one's own as README has it, and new pictures of the same kind."""
    write_images(home / NAME / "normal", 260, 0, 160)
    write_images(home / NAME / "polyps", 30, 1, 250)
    write_images(home / "new", 60, 2, 160)


class Clone:
    """A clone of this project under git and DVC, its settings small; nothing of the data is there yet."""

    def __init__(self, root: Path, home: Path):
        self.root, self.home = root, home
        root.mkdir()
        ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local", "*.egg-info")
        for name in FOLDERS:
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, root)
        (root / "params.yaml").write_text(PARAMS.replace("trials: 6", "trials: 2"))
        (root / "tune_spaces").mkdir()
        (root / "tune_spaces/endoscopy.yaml").write_text(SPACE.replace("max: 6, min: 2", "max: 3, min: 1"))
        self._environment()
        self.shell("git init -q && git config user.name Us && git config user.email us@example.org")
        self.shell("git add -A && git commit -qm Clone")

    def _environment(self) -> None:
        """What `make setup` would install, which is the environment that runs this."""
        own = self.root / ".venv"
        own.mkdir()
        for path in Path(sys.prefix).iterdir():
            (own / path.name).symlink_to(path)
        for stamp in (".installed", ".pulled"):
            (own / stamp).unlink(missing_ok=True)
        (own / ".installed").touch()

    def variables(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
        kept["PATH"] = f"{self.root / '.venv/bin'}{os.pathsep}{kept['PATH']}"
        kept["PYTHONPATH"] = os.pathsep.join(str(self.root / name) for name in ("platform", "models"))
        kept |= {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "200"}
        return kept | more

    def shell(self, line: str, code: int = 0, seconds: float = 480, **variables: str) -> str:
        """What a line says that must end with `code`; `~` is the folder with one's own data."""
        done = subprocess.run(
            ["bash", "-c", line.replace("~/", f"{shlex.quote(str(self.home))}/")],
            cwd=self.root,
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{line}: {done.returncode}\n{said}"
        return said

    def serve(self, line: str, *pictures: Path) -> list[Any]:
        """What the server that a line starts answers to each picture."""
        line = re.sub(r"--port \d+", "--port 0", line)
        process = subprocess.Popen(
            shlex.split(line), cwd=self.root, env=self.variables(), stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            address = next(found[0] for text in process.stdout if (found := re.search(r"http://[\d.:]+", text)))
            return [_answer(address, picture) for picture in pictures]
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


def _answer(address: str, picture: Path) -> Any:
    request = urllib.request.Request(f"{address}/predict/image", picture.read_bytes(), {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def grey_picture(path: Path) -> Path:
    """A picture that looks otherwise: stripes in black and white."""
    Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (60, 30))).save(path)
    return path
