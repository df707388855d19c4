"""Blocks of code of README and docs: which there are, which of them are run by which test, and which are not, and why.

A block without a language is shell. One that cannot be run where the tests run carries its reason in the page's source,
in a comment before it that readers of the page do not see: `<!-- not run: needs a GPU -->`. Blocks that are no code are
`text` or `yaml`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from project import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), ROOT / "tune_spaces" / "README.md", ROOT / "CONTRIBUTING.md"]
SHELL, PYTHON = ("", "sh", "bash", "shell", "console"), ("python",)
NO_CODE = ("text", "yaml")
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n\n?)?```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
# pages whose blocks run in order, by the file that does it; those of one section alone are named with it
RUN_BY = {
    "README.md": "tests/e2e/test_readme_own_data.py",
    "CONTRIBUTING.md": "tests/contracts/test_foreign_strategies.py",
    "docs/python.md": "tests/e2e/test_python_page.py",
    "docs/models.md#A whole picture, by any client": "tests/unit/test_picture_clients.py",
    "docs/models.md#Without any of this": "tests/e2e/test_clean_environment.py",
}
PAGE_RUNNER = "tests/e2e/test_pages_run.py"  # all other shell blocks


@dataclass(frozen=True)
class Block:
    """A block of code: its page, from the project's root; its place there; and why it is not run, if it is not."""

    page: str
    line: int
    section: str
    language: str
    text: str
    reason: str | None

    @property
    def runner(self) -> str | None:
        """The file of the test that runs it."""
        known = RUN_BY.get(self.page) or RUN_BY.get(f"{self.page}#{self.section}")
        return known or (PAGE_RUNNER if self.language in SHELL else None)

    def lines(self) -> list[str]:
        """Its commands, continued lines joined, without remarks."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for text in joined if (line := re.sub(r"(^|\s)#\s.*", "", text).strip())]


@cache
def blocks_of(path: Path) -> tuple[Block, ...]:
    """The blocks of a page in their order."""
    text = path.read_text(encoding="utf-8")
    return tuple(_read(path.relative_to(ROOT).as_posix(), text))


def _read(page: str, text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        before = text[: found.start()]
        headings = re.findall(r"^## (.+)$", before, re.MULTILINE)
        section = headings[-1] if headings else ""
        line = text[: found.start("text")].count("\n")
        yield Block(page, line, section, found["language"], found["text"], found["reason"])


def every_block() -> list[Block]:
    """The blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page)]
