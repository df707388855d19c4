"""Tags of a registered version, and metrics of its run, by the names that the store has them under."""

from collections.abc import Mapping

OBJECTIVE = "val/nelbo"
ACTIVE = "val/active_units"
MEASURED_AUROC = "test/auroc"
RUN = "vaeforge.run"
CHECKPOINT = "vaeforge.checkpoint_sha256"
GRAPH = "vaeforge.model_sha256"
FILES = "vaeforge.files_sha256"
DATA_IDENTITY = "vaeforge.data_identity"
DATA_SET = "vaeforge.data_set"
VERDICT = "vaeforge.verdict"
VAL_NELBO = "vaeforge.val_nelbo"
TEST_NLL = "vaeforge.test_nll"
TEST_LOOKS = "vaeforge.test_looks"
TEST_POWER = "vaeforge.test_power"
TEST_COMPARISON = "vaeforge.test_comparison"
ACTIVE_UNITS = "vaeforge.active_units"
SAMPLE_SHAPE = "vaeforge.sample_shape"
TEST_AUROC = "vaeforge.test_auroc"


def number_in(tags: Mapping[str, str], name: str) -> float | None:
    """The number in a tag; none where there is no such tag, or it is no number."""
    try:
        return float(tags[name])
    except (KeyError, ValueError):
        return None
