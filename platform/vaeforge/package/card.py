"""A model's card: what it is, what it was made of, how good it is, what it is for, and where it comes from.

`build_card` gathers it as JSON, `card_markdown` writes it for people. What nobody recorded is null in the one and said
to be unknown in the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaeforge.evaluate.comparison import from_plain
from vaeforge.package.bundle import Contract
from vaeforge.package.card_texts import intended_use, limits_of

Plain = dict[str, Any]
UNKNOWN = "unknown"
LINEAGE = ("command", "git", "code_hash", "configuration_hash", "space_hash", "checkpoint", "mlflow")


def build_card(
    winner: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    export_manifest: Mapping[str, Any],
    contract: Contract,
    verdict: Mapping[str, Any] | None = None,
) -> Plain:
    """The card of a model, JSON-able.

    Args:
        winner: the manifest of `tune` or `train`.
        evaluation: the manifest of `evaluate`.
        export_manifest: the manifest of `export`.
        contract: as exported.
        verdict: of the gates, `promote` and `reasons`; none where none was given yet.
    """
    data = dict(export_manifest.get("data", {}))
    return {
        "model": _model(winner, contract),
        "data": _data(winner, contract, data),
        "metrics": [_row(row) for row in evaluation["comparison"] if row["name"] == "model"],
        "beaten": _beaten(evaluation["comparison"]),
        "validation": {key: value for key, value in winner.get("metrics", {}).items() if key.startswith("val/")},
        "search": _search(winner),
        "intended_use": intended_use(contract.task),
        "limits": limits_of(contract.task, bool(data.get("shipped_sample")), "model_int8" in contract.graphs),
        "export": _export(export_manifest, contract),
        "verdict": None if verdict is None else {"promote": verdict["promote"], "reasons": list(verdict["reasons"])},
        "lineage": {key: winner.get(key) for key in LINEAGE},
    }


def _model(winner: Mapping[str, Any], contract: Contract) -> Plain:
    return {
        "name": f"vaeforge-{contract.family}",
        "family": contract.family,
        "task": contract.task,
        "event_shape": list(contract.event_shape),
        "condition": list(contract.condition),
        "channels": list(contract.channels),
        "latent_dim": contract.latent_dim,
        "settings": winner.get("experiment", {}).get("model"),
        "threshold": contract.threshold,
        "quantile": contract.quantile,
    }


def _data(winner: Mapping[str, Any], contract: Contract, data: Mapping[str, Any]) -> Plain:
    known = ("source", "counts", "licence", "attribution", "shipped_sample")
    return {
        "layout": contract.data,
        "identity": winner.get("data_identity"),
        "hash": winner.get("data_hash"),
        "prepare": contract.prepare,
        **{key: data.get(key) for key in known},
    }


def _row(row: Mapping[str, Any]) -> Plain:
    return {key: row[key] for key in ("metric", "better", "value", "low", "high")}


SHOWN = {"model is better": "beaten", "baseline is better": "better", "no clear difference": "not_shown"}


def _beaten(rows: Iterable[Mapping[str, Any]]) -> dict[str, Plain]:
    """By metric: the baselines that the model is shown to beat, those that beat it, and those not shown to differ."""
    found: dict[str, Plain] = {}
    for row in rows:
        if row["name"] != "model":
            shown = found.setdefault(row["metric"], {"beaten": [], "better": [], "not_shown": []})
            shown[SHOWN[from_plain(row).significant]].append(row["name"])
    return found


def _search(winner: Mapping[str, Any]) -> Plain:
    experiment = winner.get("experiment", {})
    kept = {key: winner.get(key) for key in ("search", "trial", "trials", "params", "repeats")}
    return {**kept, "beta": experiment.get("beta"), "epoch": winner.get("checkpoint", {}).get("epoch")}


def _export(manifest: Mapping[str, Any], contract: Contract) -> Plain:
    known = ("parity", "size_bytes", "latency_ms", "opset", "precisions")
    return {**{key: manifest.get(key) for key in known}, "graphs": sorted(contract.graphs)}


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as MODEL_CARD.md, always with the same sections."""
    sections = {
        "What it is": _what(card["model"]),
        "Intended use": [card["intended_use"]],
        "Limits": _bullets(card["limits"]),
        "Quality on the test set": _quality(card),
        "Data": _data_lines(card["data"]),
        "Search": _search_lines(card["search"]),
        "Exported graphs": _export_lines(card["export"]),
        "Gates": _verdict_lines(card["verdict"]),
        "Lineage": _lineage_lines(card["lineage"]),
    }
    body = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items())
    return f"# {card['model']['name']}\n\n{body}\n"


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _what(model: Mapping[str, Any]) -> list[str]:
    shape = " x ".join(str(size) for size in model["event_shape"])
    condition = ", ".join(model["condition"]) or "none"
    return [
        f"A variational autoencoder of the family {model['family']} with {model['latent_dim']} latent dimensions.",
        "",
        *_table(
            ("", ""),
            [
                ("one sample", shape),
                ("condition", condition),
                ("channels", ", ".join(model["channels"]) or "not named"),
                ("settings", _pairs(model["settings"])),
                ("called strange above", f"{model['threshold']:.6g}"),
                ("share of validation samples below that", f"{model['quantile']:g}"),
            ],
        ),
    ]


def _quality(card: Mapping[str, Any]) -> list[str]:
    rows = [
        (row["metric"], f"{row['value']:.4g}", interval(row["low"], row["high"]), row["better"])
        for row in card["metrics"]
    ]
    beaten = [
        (metric, *(", ".join(shown.get(kind, ())) or "nothing" for kind in ("beaten", "better", "not_shown")))
        for metric, shown in card["beaten"].items()
    ]
    validation = [(name, f"{value:.6g}") for name, value in sorted(card["validation"].items()) if value is not None]
    return [
        *_table(("metric", "value", "95 % interval", "better"), rows),
        "",
        *_table(("metric", "model is better than", "baseline is better", "no clear difference"), beaten),
        "",
        "On the validation set, by which it was chosen:",
        "",
        *_table(("metric", "value"), validation),
    ]


def interval(low: float | None, high: float | None) -> str:
    """Both ends, or that too few groups leave them unknown."""
    return f"{UNKNOWN}: too few groups" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _data_lines(data: Mapping[str, Any]) -> list[str]:
    rows = [
        ("source", data["source"] or UNKNOWN),
        ("shipped sample", UNKNOWN if data["shipped_sample"] is None else _word(data["shipped_sample"])),
        ("layout", data["layout"]),
        ("samples", _pairs(data["counts"])),
        ("licence", data["licence"] or UNKNOWN),
        ("data identity", data["identity"] or UNKNOWN),
        ("hash", data["hash"] or "not tracked by DVC"),
        ("prepared with", _pairs(data["prepare"])),
    ]
    attribution = [f"> {line}".rstrip() for line in (data["attribution"] or "").splitlines()]
    return [*_table(("", ""), rows), *(["", *attribution] if attribution else [])]


def _search_lines(search: Mapping[str, Any]) -> list[str]:
    rows = [
        ("search", search["search"] or "none: a single training, or unknown"),
        ("trial", UNKNOWN if search["trial"] is None else str(search["trial"])),
        ("trials", _pairs(search["trials"])),
        ("chosen parameters", _pairs(search["params"])),
        ("beta", _pairs(search["beta"])),
        ("epoch of the checkpoint", UNKNOWN if search["epoch"] is None else str(search["epoch"])),
        ("runs under different seeds", _repeats(search["repeats"])),
    ]
    return _table(("", ""), rows)


def _repeats(repeats: Mapping[str, Any] | None) -> str:
    if not repeats:
        return UNKNOWN
    count, value, sd = len(repeats["runs"]), repeats["value"], repeats["sd"]
    spread = "spread unknown" if sd is None else f"standard deviation {sd:.4g}"
    return f"{count}, mean val/nelbo {value:.6g} nats per sample, {spread}"


def _export_lines(export: Mapping[str, Any]) -> list[str]:
    rows = [("fp32", export["parity"], export, None)]
    rows += [(name, told, told, told.get("quality")) for name, told in sorted((export["precisions"] or {}).items())]
    lines = [
        (name, _parity(parity), _size(told.get("size_bytes")), _milliseconds(told.get("latency_ms")), _change(quality))
        for name, parity, told, quality in rows
    ]
    head = ("precision", "largest difference from torch", "size", "one sample, 32 samples", "change of score, MSE")
    return [
        f"ONNX, opset {export['opset'] or UNKNOWN}: {', '.join(export['graphs'])}. Differences are relative to each "
        "output's range. Times are medians on one CPU thread of the machine that exported.",
        "",
        *_table(head, lines),
    ]


def _parity(parity: Mapping[str, Any] | None) -> str:
    return UNKNOWN if not parity else f"{parity['worst']:.2g} (allowed {parity['tolerance']:g})"


def _size(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / 1e6:.2f} MB"


def _milliseconds(latency: Mapping[str, float] | None) -> str:
    return UNKNOWN if not latency else f"{latency['single_p50']:.3g} ms, {latency['batch32_p50']:.3g} ms"


def _change(quality: Mapping[str, Any] | None) -> str:
    return "none" if not quality else ", ".join(f"{100 * quality['change'][name]:+.2g} %" for name in ("score", "mse"))


def _verdict_lines(verdict: Mapping[str, Any] | None) -> list[str]:
    if verdict is None:
        return ["Not judged yet."]
    return [f"{'Promoted' if verdict['promote'] else 'Not promoted'}:", "", *_bullets(verdict["reasons"])]


def _lineage_lines(lineage: Mapping[str, Any]) -> list[str]:
    git, mlflow, checkpoint = (lineage.get(key) or {} for key in ("git", "mlflow", "checkpoint"))
    state = " with uncommitted changes" if git.get("dirty") else ""
    rows = [
        ("command", lineage["command"] or UNKNOWN),
        ("code", f"{git.get('commit') or UNKNOWN}{state}"),
        *((key.replace("_", " "), lineage[key] or UNKNOWN) for key in LINEAGE if key.endswith("_hash")),
        ("checkpoint", checkpoint.get("sha256") or UNKNOWN),
        ("MLflow run", mlflow.get("run_id") or UNKNOWN),
    ]
    return _table(("", ""), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return [f"{UNKNOWN.capitalize()}: nothing was recorded."]
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells]


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key} {_word(value)}" for key, value in sorted(values.items())) if values else UNKNOWN


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
