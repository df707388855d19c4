"""What a registered version says of itself: tags that lead back to run, search, commit and data, and a description."""

from collections.abc import Mapping, Sequence
from typing import Any

from vaeforge.evaluate.comparison import from_plain

OBJECTIVE = "val/nelbo"
ACTIVE = "val/active_units"
RUN = "vaeforge.run"
CHECKPOINT = "vaeforge.checkpoint_sha256"
GRAPH = "vaeforge.model_sha256"
DATA_IDENTITY = "vaeforge.data_identity"
VERDICT = "vaeforge.verdict"
VAL_NELBO = "vaeforge.val_nelbo"
TEST_NLL = "vaeforge.test_nll"
TEST_LOOKS = "vaeforge.test_looks"
ACTIVE_UNITS = "vaeforge.active_units"


def version_tags(winner: Mapping[str, Any], run_id: str, graph_sha256: str) -> dict[str, str]:
    """The tags of a version; what is not known, such as the search of a single training, has no tag.

    Registering adds those of its measurement, `TEST_NLL` and `TEST_LOOKS`, and `VERDICT` last.
    """
    git, metrics = winner["git"], winner["metrics"]
    known = {
        RUN: run_id,
        "vaeforge.search": winner["search"],
        "vaeforge.trial": winner["trial"],
        "vaeforge.commit": git["commit"],
        "vaeforge.dirty": git["dirty"],
        "vaeforge.data_hash": winner["data_hash"],
        DATA_IDENTITY: winner["data_identity"],
        "vaeforge.configuration_hash": winner["configuration_hash"],
        "vaeforge.code_hash": winner["code_hash"],
        VAL_NELBO: metrics.get(OBJECTIVE),
        ACTIVE_UNITS: metrics.get(ACTIVE),
        CHECKPOINT: winner["checkpoint"]["sha256"],
        GRAPH: graph_sha256,
    }
    return {key: _text(value) for key, value in known.items() if value is not None}


def number_in(tags: Mapping[str, str], name: str) -> float | None:
    """The number in a tag; none where there is no such tag, or it is no number."""
    try:
        return float(tags[name])
    except (KeyError, ValueError):
        return None


def describe(
    winner: Mapping[str, Any], export_manifest: Mapping[str, Any], evaluation: Mapping[str, Any], look: int
) -> str:
    """A version in a few sentences for a person; it is model number `look` measured on its test set."""
    looked = f" Model number {look} measured on this test set."
    return "\n\n".join(
        [
            f"{winner['family']} VAE, {_origin(winner)}, epoch {winner['checkpoint']['epoch']}.",
            _quality(winner["metrics"], export_manifest["latent_dim"]) + _measured(evaluation["comparison"]) + looked,
            _sources(winner),
        ]
    )


def _origin(winner: Mapping[str, Any]) -> str:
    if winner["trial"] is None or winner["search"] is None:
        return "a single training"
    return f"trial {winner['trial']} of the search {winner['search']}"


def _quality(metrics: Mapping[str, float], latent_dim: int) -> str:
    nelbo, active = metrics.get(OBJECTIVE), metrics.get(ACTIVE)
    validation = "val/nelbo unknown" if nelbo is None else f"val/nelbo {nelbo:.6g} nats per sample"
    units = (
        "active latent dimensions unknown" if active is None else f"{active:g} of {latent_dim} latent dimensions active"
    )
    return f"{validation}, {units}."


def _measured(comparison: Sequence[Mapping[str, Any]]) -> str:
    """The model's own numbers on the test set, which baselines it beats there, and which beat it."""
    own = [row for row in comparison if row["name"] == "model"]
    shown = [f"{row['metric']} {row['value']:.4g}{_interval(row['low'], row['high'])}" for row in own]
    found, rows = "; ".join(shown), [from_plain(row) for row in comparison]
    better, worse = (
        ", ".join(sorted({row.name for row in rows if row.significant == side})) or "nothing"
        for side in ("model is better", "baseline is better")
    )
    return f" Test set, 95 % intervals: {found}. In some of these clearly better than: {better}; worse than: {worse}."


def _interval(low: float | None, high: float | None) -> str:
    """Nothing where too few groups leave it unknown."""
    return "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"


def _sources(winner: Mapping[str, Any]) -> str:
    commit, dirty = winner["git"]["commit"], winner["git"]["dirty"]
    code = "code not under version control" if commit is None else f"code {commit}"
    state = " with uncommitted changes" if dirty else ""
    data = f"data {winner['data_hash']}" if winner["data_hash"] else "data not tracked by DVC"
    return f"Made from {code}{state}, {data}, data identity {winner['data_identity']}."


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
