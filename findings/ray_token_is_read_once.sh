#!/usr/bin/env bash
# ray 2.60.0: settings and token of token authentication are read once in a process. (1) RAY_AUTH_MODE=token that is set
# after `import ray` starts a cluster that wants a token and a driver that sends none; (2) a second local cluster in the
# same process, with another RAY_AUTH_TOKEN, turns its own driver away, as that still sends the first one's. Either way
# `ray.init` says so after about twenty seconds of tries, and names the very variable that was set. `Config.initialize("")`
# and `AuthenticationTokenLoader.instance().reset_cache()` of `ray._raylet`, which ray's own tests use, read both again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0
cd "$folder"
cat > show.py <<'PY'
import os
import sys


def start() -> str:
    """Whether a local cluster starts with what the environment says now."""
    try:
        ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    except Exception as error:
        return "turned away" if "InvalidAuthToken" in str(error) else repr(error)
    ray.shutdown()
    return "started"


def read_again() -> None:
    from ray._raylet import AuthenticationTokenLoader, Config

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


if __name__ == "__main__":
    early = sys.argv[1] == "mode first"
    if early:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    import ray

    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    first = start()
    if early:
        os.environ["RAY_AUTH_TOKEN"] = "b" * 64
    second = start()
    read_again()
    print(sys.argv[1], [first, second, start()])
PY
export RAY_USAGE_STATS_ENABLED=0 HOME="$folder"
diff <(venv/bin/python show.py "mode first" 2>/dev/null) <(echo "mode first ['started', 'turned away', 'started']")
diff <(venv/bin/python show.py "ray first" 2>/dev/null) <(echo "ray first ['turned away', 'turned away', 'started']")
echo "ray 2.60.0 reads mode and token of its authentication once in a process"
