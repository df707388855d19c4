"""What the command says of a scoring."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from vaeforge.cli.score import show_outcome
from vaeforge.score.manifest import ScoreCounts, ScoredInput, ScoreManifest, ScoringGraph, ScoringModel


@pytest.mark.parametrize(("anomalous", "noted"), [(6, False), (150, True)])
def test_the_data_set_is_named_and_a_flood_of_flags_noted(anomalous: int, noted: bool) -> None:
    manifest = ScoreManifest(
        model=ScoringModel("vaeforge-endoscopy version 1", "vaeforge-endoscopy", "1", "skin (the sample)"),
        family="endoscopy",
        graph=ScoringGraph("model", "0" * 64, "fp32"),
        threshold=0.02,
        quantile=0.95,
        input=ScoredInput("images", "pictures", 6),
        options={},
        scores="scores.parquet",
        counts=ScoreCounts(6, 150, anomalous, 0, 0),
        seconds=1.0,
        items_per_second=150.0,
    )
    out = Console(width=300, file=io.StringIO(), record=True)
    show_outcome(manifest, False, Path("scored"), out)
    told = " ".join(out.export_text().split())
    assert "version 1, which learned from the data set skin (the sample)" in told
    assert ("normal ones like those of the data set skin (the sample) about 5% would be" in told) == noted
