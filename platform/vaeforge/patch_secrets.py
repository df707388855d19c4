"""Secrets in a patch: what `git diff` would carry into the registry, where more people read it than the repository.

What a secret looks like is a matter of detect-secrets: keys and tokens by their form, and texts that are assigned to
names such as `password`. Its entropy rules are left out, as hashes and identifiers are no secrets. Nothing is sent
anywhere to find out whether a secret is in use.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from vaeforge.config.experiment import UploadPatch

NOT_RULES = ("high_entropy_strings", "ip_public")
_FILE = re.compile(r"^\+\+\+ b/(.*?)\t?$")
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class FoundSecret:
    """A line of a patch that looks as if it held a secret, which is not repeated here.

    Attributes:
        line: in the changed file; of a removed line, where it was.
        kind: of the secret, as detect-secrets calls it.
    """

    file: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.kind})"


def secrets_in(patch: bytes) -> list[FoundSecret]:
    """What looks like a secret in the text lines of a patch, those around the changes and removed ones included."""
    found = [
        FoundSecret(file, number, str(secret.type))
        for file, number, text in _lines(patch.decode("utf-8", errors="replace"))
        for rule in _rules()
        for secret in rule.analyze_line(filename=file, line=text, line_number=number)
    ]
    return sorted(set(found), key=lambda one: (one.file, one.line, one.kind))


def withheld(patch: bytes, upload: UploadPatch) -> str:
    """Why a patch is not uploaded with a model; empty if it is."""
    if upload == "always":
        return ""
    if upload == "never":
        return "search.upload_patch is never"
    found = secrets_in(patch)
    if not found:
        return ""
    told = ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return f"it looks as if it held secrets: {told}; take them out, or set search.upload_patch to always"


def _lines(patch: str) -> Iterator[tuple[str, int, str]]:
    """File, line number and text of the lines of each hunk."""
    file, number = "", 0  # of the next line; 0 outside of hunks, where lines that begin with + or - name files
    for line in patch.split("\n"):
        if line.startswith("diff "):
            file, number = line.rpartition(" b/")[2], 0
        elif (hunk := _HUNK.match(line)) is not None:
            number = int(hunk[1])
        elif number and line[:1] in ("+", " ", "-"):
            yield file, number, line[1:]
            number += line[0] != "-"
        elif not number and (header := _FILE.match(line)) is not None:
            file = header[1]


@cache
def _rules() -> tuple[Any, ...]:
    """One of each of detect-secrets' rules, imported where a patch is looked at."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    rules = get_mapping_from_secret_type_to_class().values()
    return tuple(rule() for rule in rules if rule.__module__.rpartition(".")[2] not in NOT_RULES)
