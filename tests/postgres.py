"""A PostgreSQL server of one's own, of Debian's package: on loopback, with a password, in a temporary folder."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import free_ports

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
WITHOUT_POSTGRES = "PostgreSQL is not installed (Debian: postgresql)"
NEEDS_POSTGRES = [pytest.mark.skipif(not PROGRAMS, reason=WITHOUT_POSTGRES)]
USER = "postgres"  # whom the package makes: the server does not run as root


class Postgres:
    """The server, while it runs."""

    def __init__(self, folder: Path):
        self.folder, self.password = folder, secrets.token_hex(8)
        (self.port,) = free_ports(1)
        (folder / "password").write_text(self.password)
        self.account = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        if self.account is not None:
            folder.chmod(0o755)
            for path in (folder, folder / "password"):
                os.chown(path, self.account.pw_uid, self.account.pw_gid)
        self._call("initdb", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={folder / 'password'}")

    def _call(self, program: str, *words: str) -> None:
        command = [PROGRAMS[-1] / program, "--pgdata", self.folder / "data", *words]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, user=self.account and self.account.pw_uid, cwd=self.folder
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._call("pg_ctl", "--wait", f"--options={options}", f"--log={self.folder / 'log'}", "start")

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends sessions; `immediate` is as if the server had died."""
        self._call("pg_ctl", "--wait", "--mode", mode, "stop")

    def database(self, name: str) -> str:
        """The URI of a new database."""
        import psycopg

        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:  # none is made in a transaction
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.uri(name)

    def uri(self, name: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Postgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
