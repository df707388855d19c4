"""Shell blocks of the how-to pages, run in order: one small project grows through the first hour, other pages use it.

A page is run as it is written. What differs stands in its `Walk`: words that stand for something (NAME), numbers that
would take hours, and codes that a line may end with. Blocks that cannot run here carry their reason in the page.
"""

import copy
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
import yaml

from outside import installed
from page_blocks import DOCS, PAGE_RUNNER, blocks_of, every_block
from project import PARAMS, SPACE, write_images
from terminal import Terminal

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
MODEL = "vaeforge-endoscopy-pictures"
FEWER = {"--trials 64": "--trials 4", "--trials 96": "--trials 5", "--trials 16": "--trials 4", "trials=32": "trials=2"}
SHORTER = {"wall_hours=8": "wall_hours=1", "wall_hours=12": "wall_hours=1", "--epochs 60": "--epochs 3"}
INSTALLED = "pip install"  # what the tests run in has it; tests/e2e/test_clean_environment.py installs


@dataclass(frozen=True)
class Walk:
    """How a page is run.

    Attributes:
        before: lines that make what the page takes for granted.
        words: what is written, and what is run instead.
        codes: the beginning of a line, and the codes that it may end with.
    """

    before: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def small(project: Path) -> None:
    """Settings and space of a project that trains in seconds."""
    params, own = (yaml.safe_load(text) for text in ((project / "params.yaml").read_text(encoding="utf-8"), PARAMS))
    params["search"] |= own["search"] | {"trials": 2}
    params["endoscopy"] |= own["endoscopy"]
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (project / "tune_spaces/endoscopy.yaml").write_text(SPACE, encoding="utf-8")


class Lab:
    """A home with pictures and the project that the first hour makes in it; searches run on a Ray that is there."""

    def __init__(self, home: Path, cluster: Mapping[str, str]):
        self.home, self.said, self._cluster = home, "", cluster
        write_images(home / "pictures/normal", 260, 0, 160)  # so many that `drift` can judge
        write_images(home / "pictures/polyps", 30, 1, 250)
        write_images(home / "new", 60, 2, 160)
        self.root = home / "lab"

    @property
    def search(self) -> str:
        """The name of a search that has ended."""
        said = self.terminal().run("vaeforge searches --json")
        return str(json.loads(said.splitlines()[-1])["name"])

    def terminal(self, folder: Path | None = None) -> Terminal:
        return Terminal(folder or self.root, self.home / ".terminal", **self._cluster)

    def walk(
        self, page: str, walk: Walk, folder: Path | None = None, after: Callable[[str], None] | None = None
    ) -> None:
        """Run the blocks of a page.

        Args:
            page: its path below docs/.
            walk: how.
            folder: where; none: the project.
            after: called with each line that was run.
        """
        terminal = self.terminal(folder)
        for line in walk.before:
            terminal.run(line)
        blocks = [one for one in blocks_of(DOCS / page) if one.runner == PAGE_RUNNER and one.reason is None]
        assert blocks, f"{page}: nothing to run"
        for line in (line for block in blocks for line in block.lines()):
            if line.startswith(INSTALLED):
                continue
            words = FEWER | SHORTER | dict(walk.words)
            for written, meant in words.items():
                line = _with_word(line, written, meant)
            codes = next((codes for begin, codes in walk.codes.items() if line.startswith(begin)), (0,))
            self.said += f"$ {line}\n{terminal.run(line, codes)}"
            if after is not None:
                after(line)


def _with_word(line: str, written: str, meant: str) -> str:
    """`line` with another word; what is written in capitals is one whole word."""
    if written.isupper():
        return re.sub(rf"\b{written}\b", lambda _: meant, line)
    return line.replace(written, meant)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, cluster: dict[str, str]) -> Lab:
    """The first hour, as it is written."""
    lab = Lab(tmp_path_factory.mktemp("home"), cluster)

    def after(line: str) -> None:
        if line.startswith("vaeforge init"):
            small(lab.root)

    names = {"NAME": '$(vaeforge searches --json | sed -n \'s/^{"name": "\\([^"]*\\)".*/\\1/p\')'}
    lab.walk("first-hour.md", Walk(words=names), folder=lab.home, after=after)
    shutil.copytree(lab.home / "new", lab.root / "images")
    return lab


def test_the_first_hour_ends_with_a_model_that_scores(lab: Lab) -> None:
    assert f"{MODEL} version 1 as champion" in " ".join(lab.said.split())
    assert (lab.root / "scored/scores.csv").is_file()


REFUSED_OR_NOT = (0, 2)
OTHER = ("vaeforge tune --name other --trials 2 --register false --offline --quiet",)
STORE = ("dvc remote add --force --default store ../store", "dvc push --quiet")
NEW = "vaeforge import ../pictures --family endoscopy --name spare --yes"
WALKS = {
    "command-line.md": Walk(
        before=("git add -A; git commit -qm Lab || true",), words={"NAME": "SEARCH", "workers=2": "workers=1"}
    ),
    "searches.md": Walk(
        before=OTHER, words={"OTHER": "other", "NAME#12": "other#1", "vaeforge stop NAME": "true", "NAME": "other"}
    ),
    "report.md": Walk(
        words={"NAME": "SEARCH", "ONE": "SEARCH", "TWO": "big", "models:/vaeforge-endoscopy": f"models:/{MODEL}"}
    ),
    "models.md": Walk(
        before=("cp images/000.png image.png", "rm -rf scored"),
        words={"models:/vaeforge-endoscopy": f"models:/{MODEL}", "curl ": "true "},  # nobody serves here any more
        codes={"vaeforge models": REFUSED_OR_NOT},  # there are fewer versions than the page speaks of
    ),
    "gates.md": Walk(codes={"vaeforge models promote": REFUSED_OR_NOT}),
    "ci.md": Walk(before=STORE, words={"models:/vaeforge-endoscopy": f"models:/{MODEL}"}),
    "troubleshooting.md": Walk(words={"NAME": "SEARCH"}),
    "dvc-experiments.md": Walk(
        words={"search.trials=4": "search.trials=3", "latent_dim=16": "latent_dim=4"}, codes={"git add": (0, 1)}
    ),
    "import.md": Walk(before=(*STORE, NEW)),
    "data.md": Walk(before=STORE, words={"NAME": "spare"}, codes={"git add": (0, 1)}),
}


@pytest.mark.parametrize("page", WALKS)
def test_every_block_of_the_page_runs(page: str, lab: Lab) -> None:
    walk = WALKS[page]
    words = {written: lab.search if meant == "SEARCH" else meant for written, meant in walk.words.items()}
    lab.walk(page, Walk(walk.before, words, walk.codes))


def test_a_family_of_ones_own_begins_as_its_page_says(lab: Lab) -> None:
    def after(line: str) -> None:
        if line.startswith("vaeforge new family"):
            installed(lab.root / "vaeforge-spots")

    found = {"vaeforge new space": "PYTHONPATH=$PWD/vaeforge-spots:$PYTHONPATH vaeforge new space"}
    lab.walk("own-family.md", Walk(words=found), after=after)


def test_a_project_moves_and_is_copied(lab: Lab, tmp_path: Path) -> None:
    shutil.copytree(lab.root, tmp_path / "lab", symlinks=True)
    lab.walk("moving.md", Walk(), folder=tmp_path)
    assert "relocated" in lab.said and MODEL in lab.said


def test_checkpoints_lie_in_a_store_of_the_s3_protocol(lab: Lab) -> None:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        store = boto3.client("s3", endpoint_url=address, **keys)
        store.create_bucket(Bucket="bucket")
        alone = copy.copy(lab)
        alone._cluster = {}  # a Ray of its own has the keys, one that runs already would have to have them before
        alone.walk("s3.md", Walk(words={"=…": "=test", "https://s3.example.org": address}))
        kept = store.list_objects_v2(Bucket="bucket", Prefix="vaeforge/")
        assert kept["KeyCount"] > 0
    finally:
        server.stop()


def test_what_is_not_run_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    left = [f"{block.page}:{block.line}: {block.reason}" for block in every_block() if block.reason is not None]
    with capsys.disabled():
        print("\n" + "\n".join(["not run:", *left]))
    assert all(len(line) > 20 for line in left)
