"""A model card as a page for people: MODEL_CARD.md, always with the same sections."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaeforge.data.source_files import listed
from vaeforge.manifests.export import Latency, ParityOutcome, QualityLoss
from vaeforge.manifests.trained_model import RepeatedRuns
from vaeforge.package.card import (
    DataSection,
    ExportSection,
    LineageSection,
    ModelCard,
    ModelSection,
    SearchSection,
    VerdictSection,
)

UNKNOWN = "unknown"


def card_markdown(card: ModelCard) -> str:
    """The card as MODEL_CARD.md, always with the same sections."""
    sections = {
        "What it is": _what(card.model),
        "Intended use": [card.intended_use],
        "Limits": _bullets(card.limits),
        "Quality on the test set": _quality(card),
        "Data": _data_lines(card.data),
        "Search": _search_lines(card.search),
        "Exported graphs": _export_lines(card.export),
        "Gates": _verdict_lines(card.verdict),
        "Lineage": _lineage_lines(card.lineage),
    }
    body = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items())
    return f"# {card.model.name}\n\n{body}\n"


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _what(model: ModelSection) -> list[str]:
    shape = " x ".join(str(size) for size in model.event_shape)
    condition = ", ".join(model.condition) or "none"
    return [
        f"A variational autoencoder of the family {model.family} with {model.latent_dim} latent dimensions.",
        "",
        *_table(
            ("", ""),
            [
                ("one sample", shape),
                ("condition", condition),
                ("channels", listed(model.channels) or "not named"),
                ("settings", _pairs(model.settings)),
                ("anomalous above", f"{model.threshold:.6g}"),
                ("planned share of normal samples below that", f"{model.quantile:g}"),
                ("share of normal samples expected above it, at most", _known(model.threshold_rate)),
            ],
        ),
    ]


def _quality(card: ModelCard) -> list[str]:
    rows = [(row.metric, f"{row.value:.4g}", interval(row.low, row.high), row.better) for row in card.metrics]
    beaten = [
        (metric, *(", ".join(names) or "nothing" for names in (shown.beaten, shown.better, shown.not_shown)))
        for metric, shown in card.beaten.items()
    ]
    validation = [(name, f"{value:.6g}") for name, value in sorted(card.validation.items()) if value is not None]
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
    """Both ends, or why there are none."""
    return "none: too few groups, or all alike" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _data_lines(data: DataSection) -> list[str]:
    rows = [
        ("source", data.source or UNKNOWN),
        ("data set", data.data_set or UNKNOWN),
        ("shipped sample", UNKNOWN if data.shipped_sample is None else _word(data.shipped_sample)),
        ("layout", data.layout),
        ("samples", _pairs(data.counts)),
        ("licence", data.licence or UNKNOWN),
        ("data identity", data.identity),
        ("hash", data.hash or "not tracked by DVC"),
        ("prepared with", _pairs(data.prepare)),
    ]
    attribution = [f"> {line}".rstrip() for line in (data.attribution or "").splitlines()]
    return [*_table(("", ""), rows), *(["", *attribution] if attribution else [])]


def _search_lines(search: SearchSection) -> list[str]:
    rows = [
        ("search", search.search or "none: a single training, or unknown"),
        ("trial", UNKNOWN if search.trial is None else str(search.trial)),
        ("trials", _pairs(search.trials)),
        ("chosen parameters", _pairs(search.params)),
        ("beta", _pairs(search.beta)),
        ("epoch of the checkpoint", str(search.epoch)),
        ("expected val/nelbo", _repeats(search.repeats)),
    ]
    return _table(("", ""), rows)


def _repeats(repeats: RepeatedRuns | None) -> str:
    if not repeats:
        return UNKNOWN
    spread = "spread unknown" if repeats.sd is None else f"standard deviation {repeats.sd:.4g}"
    return f"{repeats.value:.6g} nats per sample ({repeats.basis}), {spread}"


def _export_lines(export: ExportSection) -> list[str]:
    lines = [("fp32", _parity(export.parity), _size(export.size_bytes), _milliseconds(export.latency_ms), "none")]
    lines += [
        (name, _parity(told), _size(told.size_bytes), _milliseconds(told.latency_ms), _change(told.quality))
        for name, told in sorted(export.precisions.items())
    ]
    head = ("precision", "largest difference from torch", "size", "one sample, 32 samples", "change of score, MSE")
    return [
        f"ONNX, opset {export.opset or UNKNOWN}: {', '.join(export.graphs)}. Differences are relative to each "
        "output's range. Times are medians on one CPU thread of the machine that exported.",
        "",
        *_table(head, lines),
    ]


def _parity(parity: ParityOutcome | None) -> str:
    return UNKNOWN if not parity else f"{parity.worst:.2g} (allowed {parity.tolerance:g})"


def _size(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / 1e6:.2f} MB"


def _milliseconds(latency: Latency | None) -> str:
    return UNKNOWN if not latency else f"{latency.single_p50:.3g} ms, {latency.batch32_p50:.3g} ms"


def _change(quality: QualityLoss) -> str:
    return ", ".join(f"{100 * change:+.2g} %" for change in (quality.change.score, quality.change.mse))


def _verdict_lines(verdict: VerdictSection | None) -> list[str]:
    if verdict is None:
        return ["Not judged yet."]
    return [f"{'Promoted' if verdict.promote else 'Not promoted'}:", "", *_bullets(verdict.reasons)]


def _lineage_lines(lineage: LineageSection) -> list[str]:
    state = " with uncommitted changes" if lineage.git.dirty else ""
    rows = [
        ("command", lineage.command or UNKNOWN),
        ("code", f"{lineage.git.commit or UNKNOWN}{state}"),
        ("code hash", lineage.code_hash),
        ("configuration hash", lineage.configuration_hash or UNKNOWN),
        ("space hash", lineage.space_hash or UNKNOWN),
        ("checkpoint", lineage.checkpoint.sha256),
        ("MLflow run", lineage.mlflow.run_id or UNKNOWN),
    ]
    return _table(("", ""), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return [f"{UNKNOWN.capitalize()}: nothing was recorded."]
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells]


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key} {_word(value)}" for key, value in sorted(values.items())) if values else UNKNOWN


def _known(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3g}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
