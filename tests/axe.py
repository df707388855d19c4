"""axe-core, the accessibility checker, as npm has it: fetched once, and only this very version."""

import base64
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

from browser import Page

VERSION = "4.14.1"
INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def axe_script(folder: Path) -> str:
    """The script, by way of `folder`.

    Raises:
        AssertionError: if npm cannot bring it, or brings another one.
    """
    call = ["npm", "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = (folder / f"axe-core-{VERSION}.tgz").read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    assert found == INTEGRITY, found
    with tarfile.open(folder / f"axe-core-{VERSION}.tgz") as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


def violations(page: Page, script: str) -> list[str]:
    """What axe-core finds wrong with the page, one line a rule and place."""
    page.evaluate(f"{script}; true")
    options = json.dumps({"runOnly": {"type": "tag", "values": list(RULES)}, "resultTypes": ["violations"]})
    found = page.evaluate(f"axe.run(document, {options}).then(result => result.violations)")
    return [f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}" for rule in found for node in rule["nodes"]]
