"""Build of the wheel, which carries the spaces and the stages of DVC that lie at the top of a clone."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
FILES = ("dvc.yaml", "tune_spaces")


class WithProjectFiles(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # they are found where they lie
            return
        target = Path(self.build_lib) / "vaeforge/project_files"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in FILES:
            source = HERE / name
            shutil.copytree(source, target / name) if source.is_dir() else shutil.copy(source, target)


setup(cmdclass={"build_py": WithProjectFiles})
