"""Secrets in patches: found where they stand, never repeated; ordinary code is none."""

import subprocess
from pathlib import Path

import pytest

from vaeforge.patch_secrets import FoundSecret, secrets_in, withheld
from vaeforge.provenance import origin

KEY = "AKIA" + "IOSFODNN7EXAMPLE"  # in two parts, so that no scanner takes this file for a leak


def patch_of(folder: Path, name: str, before: str, after: str) -> bytes:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    folder.mkdir(exist_ok=True)
    git("init", "--quiet")
    (folder / name).write_text(before)
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    (folder / name).write_text(after)
    patch = origin(folder).patch
    assert patch is not None
    return patch


@pytest.mark.parametrize(
    ("name", "line", "kind"),
    [
        ("settings.py", f'key = "{KEY}"', "AWS Access Key"),
        ("with space.yaml", "password: " + "correct-horse-battery", "Secret Keyword"),
        ("notes.txt", "https://me:" + "hidden-word@host/x", "Basic Auth Credentials"),
        ("id", "-----BEGIN " + "RSA PRIVATE KEY-----", "Private Key"),
    ],
)
def test_a_secret_is_found_where_it_stands(tmp_path: Path, name: str, line: str, kind: str) -> None:
    patch = patch_of(tmp_path, name, "one\ntwo\n", f"one\ntwo\nthree\n{line}\n")
    assert FoundSecret(name, 4, kind) in secrets_in(patch)
    told = withheld(patch, "checked")
    assert f"{name}:4" in told and "search.upload_patch" in told
    assert line not in told and KEY not in told
    assert withheld(patch, "always") == "" and withheld(patch, "never") != ""


def test_a_secret_that_is_removed_or_stands_beside_a_change_is_in_the_patch_too(tmp_path: Path) -> None:
    removed = patch_of(tmp_path / "a", "a.py", f'one\nkey = "{KEY}"\n', "one\n")
    assert secrets_in(removed) == [FoundSecret("a.py", 2, "AWS Access Key")]
    beside = patch_of(tmp_path / "b", "b.py", f'key = "{KEY}"\ntwo\n', f'key = "{KEY}"\nthree\n')
    assert secrets_in(beside) == [FoundSecret("b.py", 1, "AWS Access Key")]


def test_code_about_passwords_holds_none(tmp_path: Path) -> None:
    code = """
        def login(user: str, password: str, token: str = "") -> None:
            token = os.environ["SERVICE_TOKEN"]
            self._token = secrets.token_hex(32)
            digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    """
    assert secrets_in(patch_of(tmp_path, "login.py", "one\n", code)) == []
    assert withheld(patch_of(tmp_path / "b", "b.bin", "\0", "\0" + "x" * 500), "checked") == ""
