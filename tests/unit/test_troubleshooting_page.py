"""What the troubleshooting page quotes is what the code says."""

import ast
import re
from functools import cache

from project import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"


@cache
def said() -> str:
    """All texts of the platform's code, f-strings with a gap for what is filled in."""
    texts = []
    for path in sorted((ROOT / "platform").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def quoted() -> list[str]:
    """The first column of the page's tables, the parts between gaps."""
    rows = re.findall(r"^\| (`.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    return [part for quote in quotes for part in re.split(r"\s*…\s*", quote) if len(part) > 2]


def test_every_quoted_message_is_one_of_ours() -> None:
    assert len(quoted()) > 25
    assert [part for part in quoted() if part not in said()] == []
