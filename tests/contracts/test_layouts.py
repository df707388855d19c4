"""What every layout of data and its import format promise; new ones, of other packages too, are picked up."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from outside import environment_with, install_metadata
from vaeforge.config.layouts import LAYOUTS, Layout, layout_named, layout_names
from vaeforge.config.prepare import Prepare
from vaeforge.errors import ConfigError, DataError
from vaeforge.importing.import_format import FORMATS

ROOT = Path(__file__).parents[2]
# two layouts' worth of plug-ins, in one file: a text file of numbers, a line a sample
TEXT_LAYOUT = """
import numpy as np

from vaeforge.config.layouts import Layout
from vaeforge.config.prepare import Prepare
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.parsed_source import ParsedSource
from vaeforge.samples import DataSet, Samples


class TextSettings(Prepare):
    scale: float = 1.0


class TextLayout(Layout):
    name = "text"
    settings = TextSettings

    def read(self, folder, settings):
        values = settings.scale * np.loadtxt(folder / "all" / "values.txt", ndmin=2).astype(np.float32)
        ends = [round(len(values) * share) for share in (1 - settings.validation - settings.test, 1 - settings.test)]
        train, validation, test = map(Samples.unconditional, np.split(values, ends))
        groups = [str(number) for number in range(len(test))]
        return DataSet(train, validation, test, np.zeros(len(test), dtype=np.int64), groups)


class TextFormat(ImportFormat):
    layout = "text"

    def parse(self, source, options, log):
        values = np.loadtxt(source, ndmin=2)
        write = lambda folder: np.savetxt(folder / "values.txt", values)
        return ParsedSource([{"file": source.name}], [], {"samples": len(values)}, [], write)


LAYOUT, FORMAT = TextLayout(), TextFormat()
"""
FAMILY = """
from dataclasses import replace
from vaeforge_models.families import families
from vaeforge_models.families.fmri import FAMILY as FMRI

FAMILY = replace(FMRI, name="texts", data="text", defaults={}, presets={"sample": {}, "published": {}})
"""
ENTRY_POINTS = """
[vaeforge.layouts]
text = text_layout:LAYOUT
[vaeforge.import_formats]
text = text_layout:FORMAT
[vaeforge.families]
texts = text_family:FAMILY
"""
USE = """
import numpy, sys
from pathlib import Path
from vaeforge.config.loader import load
from vaeforge.data.prepare import prepare
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

folder = Path(sys.argv[1])
project = Project(folder / "project")
project.root.mkdir()
numpy.savetxt(folder / "given.txt", numpy.arange(60.0).reshape(20, 3))
result = run_import(folder / "given.txt", "texts", "text", project, ImportOptions(name="all", track=False))
experiment = load(project.root, "texts", None, {"prepare.scale": 2.0}).experiment
prepared = prepare(project, experiment)
print(result.counts, len(prepared.train), len(prepared.validation), len(prepared.test), float(prepared.train.x[0, 1]))
"""


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_is_whole(name: str) -> None:
    layout = layout_named(name)
    assert layout.name == name and issubclass(layout.settings, Prepare)
    assert layout.settings()  # every setting has a default
    assert FORMATS.named(name).layout == name  # users can make one


@pytest.mark.parametrize("name", [name for name in layout_names() if "whole" in layout_named(name).picture_modes])
def test_a_picture_becomes_a_sample(name: str) -> None:
    layout, picture = layout_named(name), np.full((30, 40, 3), 10, np.uint8)
    sample = layout.sample_of(picture, 16, layout.settings(size=16).model_dump())
    assert sample.dtype == np.uint8 and sample.shape[1:] == (16, 16) and (sample == 10).all()
    fine = layout.sample_of(np.full((30, 40, 3), 1001, np.uint16), 16, layout.settings(size=16).model_dump())
    assert fine.dtype == np.uint16 and (fine == 1001).all()


def test_a_layout_of_whole_pictures_must_make_samples_of_them() -> None:
    with pytest.raises(TypeError, match=r"Lacking: takes whole pictures .*, so it must have `sample_of`"):
        type("Lacking", (Layout,), {"picture_modes": ("whole",)})
    with pytest.raises(DataError, match="picture: series take no whole pictures"):
        layout_named("series").sample_of(np.zeros((4, 4, 3), np.uint8), 4, {})


def test_layouts_and_import_formats_come_in_pairs() -> None:
    assert FORMATS.names() == LAYOUTS.names()


def test_layouts_are_known_without_torch() -> None:
    program = (
        "import sys; from vaeforge.config.layouts import layout_named, layout_names; "
        "[layout_named(name) for name in layout_names()]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], env=environment_with(), check=True)


def test_a_layout_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pictures'"):
        layout_named("picture")


@pytest.mark.slow
def test_a_layout_and_its_import_format_from_outside_are_found(tmp_path: Path) -> None:
    (tmp_path / "text_layout.py").write_text(TEXT_LAYOUT)
    (tmp_path / "text_family.py").write_text(FAMILY)
    install_metadata(tmp_path, "texts", ENTRY_POINTS)
    command = [sys.executable, "-c", USE, str(tmp_path)]
    done = subprocess.run(command, env=environment_with(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "{'samples': 20} 10 4 6 2.0"
