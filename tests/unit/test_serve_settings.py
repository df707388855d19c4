"""What a server is told, and what it refuses to start with."""

import math
import socket
from pathlib import Path

import pytest

from vaeforge.errors import ConfigError
from vaeforge.serve.server import listening
from vaeforge.serve.settings import MB, TOKEN, resolve_settings

SECRET = "0123456789abcdef"


def test_unset_options_have_their_defaults() -> None:
    found = resolve_settings({})
    assert (found.host, found.port, found.poll, found.token) == ("127.0.0.1", 8080, 5.0, None)
    assert (found.limits.body, found.limits.samples, found.limits.requests) == (32 * MB, 256, 32)
    assert resolve_settings({}, max_body_mb=0.5).limits.body == MB // 2


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        resolve_settings({TOKEN: "short"}, port=65536, poll=0, max_samples=0, timeout=math.nan)
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "--max-samples", "--timeout", "--port", "--poll", TOKEN
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=f"--host: got '{host}', which other machines may reach; set {TOKEN}"):
        resolve_settings({}, host=host)
    assert resolve_settings({TOKEN: SECRET}, host=host).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert resolve_settings({}, host=host).token is None


def test_a_token_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=f"has mode 0640, must be 0600; run `chmod 600 {path}`"):
        resolve_settings({}, token_file=path)
    path.chmod(0o600)
    found = resolve_settings({}, token_file=path)
    assert found.token == SECRET and SECRET not in repr(found)
    path.write_text("")
    with pytest.raises(ConfigError, match="at least 16"):
        resolve_settings({}, token_file=path)
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve_settings({}, token_file=tmp_path / "none")


def test_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    paths = {"certificate": tmp_path / "chain.pem", "key": tmp_path / "key.pem"}
    for path in paths.values():
        path.write_text("nothing")
        path.chmod(0o600)
    with pytest.raises(ConfigError, match="--certificate, --key: got one of them"):
        resolve_settings({}, certificate=paths["certificate"])
    with pytest.raises(ConfigError, match=r"--certificate .*chain\.pem --key .*key\.pem: cannot be used"):
        resolve_settings({}, **paths)
    paths["key"].chmod(0o644)
    with pytest.raises(ConfigError, match=r"--key: .*key\.pem has mode 0644, must be 0600"):
        resolve_settings({}, **paths)
    assert resolve_settings({}).certificate is None


def test_an_address_that_is_taken_is_refused() -> None:
    with listening("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="cannot be listened at"):
        listening("127.0.0.1", taken.getsockname()[1])


def test_what_is_sent_on_an_accepted_connection_waits_for_no_acknowledgement() -> None:
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
