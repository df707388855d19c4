"""The step `score`: an input scored with a packaged model into a folder, resumable after a crash.

`scores.parquet` (or `.csv`) has a row for each usable item, in the input's order: `item`, `score` and `rate` (nats) as
float32, `is_anomaly` (score above the model's threshold), with latents also `mu_0` and so on. `quarantine.csv` has the
others with the reason. `manifest.json` is written last; its presence means that everything was scored.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow
from numpy.typing import NDArray
from rich.console import Console

from vaeforge.errors import DataError
from vaeforge.manifests.files import MANIFEST
from vaeforge.package.input_check import InputCheck, InputTally, check_of
from vaeforge.progress import part
from vaeforge.registry.fetch import Fetched
from vaeforge.score import error_maps
from vaeforge.score.batches import ItemBatch, Reader
from vaeforge.score.files import InputFiles, reader_of
from vaeforge.score.manifest import (
    ErrorMapFiles,
    ScoreCounts,
    ScoredInput,
    ScoreManifest,
    ScoringGraph,
    ScoringModel,
    read_score_manifest,
    write_score_manifest,
)
from vaeforge.score.model import Scorer
from vaeforge.score.partial_results import (
    IS_ANOMALY,
    ITEM,
    REASON,
    PartialResults,
    Progress,
    write_quarantine,
    write_scores,
)
from vaeforge.score.plain_tables import table_of
from vaeforge.score.read_options import ReadOptions
from vaeforge.score.resume_state import check_resumable, locked_output

PART_ROWS = 1024
PART_SECONDS = 5.0
MAPS, SEEN = "error_maps", "error_pictures"


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What is wanted of a scoring.

    Attributes:
        reading: how the input is read.
        graph: which graph of the model scores.
        latents: keep mu.
        error_maps: write a picture of each item's error.
        format: of the scores.
    """

    reading: ReadOptions
    graph: str
    latents: bool
    error_maps: bool
    format: Literal["parquet", "csv"]

    def resume_key(self) -> dict[str, Any]:
        """All but the number of threads: what a later session must have alike."""
        content = asdict(self)
        content["reading"] = self.reading.resume_key()
        return content


@dataclass(frozen=True)
class ScoreOutcome:
    """What came of a scoring: its manifest, and whether that was there already."""

    manifest: ScoreManifest
    already: bool


def score_run(
    fetched: Fetched, source: InputFiles, folder: Path, options: ScoreOptions, console: Console, quiet: bool = False
) -> ScoreOutcome:
    """Score `source` with the model `fetched` into `folder`, or continue where an earlier session ended.

    Raises:
        ConfigError: if an option does not go with the model or the input.
        DataError: if the model takes other files, `folder` holds something else, or no item is usable.
        RegistryError: if the model's files are not what they must be.
    """
    contract = fetched.bundle.contract
    reader = reader_of(source, contract, options.reading)
    scorer = Scorer(fetched.bundle, options.graph, options.reading.threads, options.error_maps)
    check = check_of(fetched.bundle)
    model = {"family": contract.family, "sha256": scorer.graph.sha256, "threshold": contract.threshold}
    with locked_output(folder):
        check_resumable(folder, source, model, options.resume_key())
        if (folder / MANIFEST).is_file():
            return ScoreOutcome(read_score_manifest(folder), already=True)
        parts = PartialResults(folder / "parts")
        progress = _score(reader, scorer, check, parts, folder / MAPS, options, console, quiet)
        _write_results(parts, folder, source, options, progress)
        manifest = _manifest(fetched, scorer, check, source, options, progress)
        write_score_manifest(folder, manifest)
        shutil.rmtree(parts.folder)
    return ScoreOutcome(manifest, already=False)


def _score(
    reader: Reader,
    scorer: Scorer,
    check: InputCheck | None,
    parts: PartialResults,
    maps: Path,
    options: ScoreOptions,
    console: Console,
    quiet: bool,
) -> Progress:
    """Score what the parts do not hold yet; a part is written after so many rows or seconds, where one can go on."""
    progress = parts.progress()
    if progress.inputs and not quiet:
        console.print(f"going on after {progress.inputs:,} pictures or rows", highlight=False)
    tables: list[Any] = []
    began = opened = time.monotonic()
    items = 0
    with part("scoring", reader.count(), progress.inputs) as under_way:
        for batch in _closed(reader.batches(progress.end)):
            table, progress = _scored(batch, scorer, check, options, maps, progress)
            tables.append(table)
            items += len(batch.names)
            under_way.advance(batch.inputs, f"{items / max(time.monotonic() - opened, 1e-9):,.0f} items/s")
            seconds = time.monotonic() - began
            full = sum(map(len, tables)) >= PART_ROWS or seconds >= PART_SECONDS
            if batch.end is not None and full:
                progress, began = replace(progress, seconds=progress.seconds + seconds), time.monotonic()
                parts.add(pyarrow.concat_tables(tables), progress)
                tables = []
    if tables:
        progress = replace(progress, seconds=progress.seconds + time.monotonic() - began)
        parts.add(pyarrow.concat_tables(tables), progress)
    return progress


def _closed(batches: Iterator[ItemBatch]) -> Iterator[ItemBatch]:
    """The batches; whatever happens to who takes them, the reader's threads and files are given back at once."""
    try:
        yield from batches
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _scored(
    batch: ItemBatch,
    scorer: Scorer,
    check: InputCheck | None,
    options: ScoreOptions,
    maps: Path,
    progress: Progress,
) -> tuple[Any, Progress]:
    """A batch's rows, usable or not, and the progress after it."""
    usable = np.array([position not in batch.rejected for position in range(len(batch.names))])
    columns, reasons = _columns(batch, usable, scorer, options.latents)
    clipped = _write_maps(batch, usable, scorer, maps) if options.error_maps and usable.any() else 0
    table = table_of({ITEM: list(batch.names), REASON: reasons, **columns})
    good = np.array([reason is None for reason in reasons])
    counted = replace(
        progress,
        end=batch.end or progress.end,
        inputs=progress.inputs + batch.inputs,
        scored=progress.scored + int(good.sum()),
        anomalous=progress.anomalous + int(columns[IS_ANOMALY][good].sum()),
        quarantined=progress.quarantined + int((~good).sum()),
        clipped=progress.clipped + clipped,
        seen=progress.seen.joined(_seen(batch, check, good, columns["score"])),
    )
    return table, counted


def _seen(batch: ItemBatch, check: InputCheck | None, good: NDArray[np.bool_], score: NDArray[Any]) -> InputTally:
    """The tally of a batch's scored items."""
    if check is None or not good.any():
        return InputTally()
    sizes = [size for size, usable in zip(batch.sizes, good, strict=False) if usable and size is not None]
    return check.tally(_rows(batch.x, good), sizes if len(sizes) == good.sum() else (), score[good])


def _rows(values: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Rows of a batch, copied only where some are left out."""
    return values if chosen.all() else values[chosen]


def _columns(
    batch: ItemBatch, usable: NDArray[np.bool_], scorer: Scorer, latents: bool
) -> tuple[dict[str, NDArray[Any]], list[str | None]]:
    """Values by column, zeros for unusable items, and the reasons why they are."""
    count, size = len(batch.names), scorer.contract.latent_dim
    score, rate = np.zeros((2, count), dtype=np.float32)
    mu = np.zeros((count, size), dtype=np.float32)
    reasons = [batch.rejected.get(position) for position in range(count)]
    if usable.any():
        answer = scorer.run(_rows(batch.x, usable), _rows(batch.condition, usable))
        score[usable], rate[usable], mu[usable] = answer.score, answer.rate, answer.mu
    finite = np.isfinite(score) & np.isfinite(rate) & np.isfinite(mu).all(axis=1)
    for position in np.flatnonzero(~finite).tolist():
        reasons[position] = (
            "the model's answer is not finite: its values are far outside of what the model learned from"
        )
    columns = {"score": score, IS_ANOMALY: score > scorer.contract.threshold, "rate": rate}
    return columns | ({f"mu_{place}": mu[:, place] for place in range(size)} if latents else {}), reasons


def _write_maps(batch: ItemBatch, usable: NDArray[np.bool_], scorer: Scorer, folder: Path) -> int:
    """Write the error maps of a batch's usable items; how many pixels were clipped."""
    maps = scorer.error_maps(batch.x[usable], batch.condition[usable])
    names = [batch.names[position] for position in np.flatnonzero(usable).tolist()]
    for name, picture, error_map in zip(names, batch.x[usable], maps, strict=True):
        error_maps.write_seen(error_maps.path_of(folder.with_name(SEEN), name), picture, error_map)
    return sum(
        error_maps.write_map(error_maps.path_of(folder, name), error_map)
        for name, error_map in zip(names, maps, strict=True)
    )


def _write_results(
    parts: PartialResults, folder: Path, source: InputFiles, options: ScoreOptions, progress: Progress
) -> None:
    if not parts.paths():
        raise DataError(f"input: {source.root} holds no items; give a folder or a file with some")
    first = write_quarantine(parts, folder / "quarantine.csv")
    if not progress.scored:
        raise DataError(
            f"input: none of {progress.quarantined} item(s) of {source.root} is usable ({'; '.join(first)}); all "
            f"reasons are in {folder / 'quarantine.csv'}"
        )
    write_scores(parts, folder / f"scores.{options.format}")


def _manifest(
    fetched: Fetched,
    scorer: Scorer,
    check: InputCheck | None,
    source: InputFiles,
    options: ScoreOptions,
    progress: Progress,
) -> ScoreManifest:
    contract, unit = scorer.contract, f"squared error in model units times {error_maps.SCALE}, 16-bit grey"
    return ScoreManifest(
        model=ScoringModel(fetched.name, fetched.model, fetched.version, contract.data_set),
        family=contract.family,
        graph=ScoringGraph(options.graph, scorer.graph.sha256, scorer.graph.precision),
        threshold=contract.threshold,
        quantile=contract.quantile,
        input=ScoredInput(str(source.root), source.kind, len(source.paths)),
        options=options.resume_key(),
        scores=f"scores.{options.format}",
        counts=ScoreCounts(progress.inputs, progress.scored, progress.anomalous, progress.quarantined, source.left_out),
        seconds=round(progress.seconds, 3),
        items_per_second=round((progress.scored + progress.quarantined) / max(progress.seconds, 1e-9), 1),
        checked=check is not None,
        warning=check.warning(progress.seen) if check else "",
        seen=progress.seen if check else None,
        error_maps=ErrorMapFiles(MAPS, unit, progress.clipped) if options.error_maps else None,
    )
