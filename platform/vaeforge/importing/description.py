"""Tables and figures that describe a source, as `import` keeps them and `inspect` shows them."""

from pathlib import Path

from vaeforge.importing.figures import save_chart
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, header_of, write_table


def write_description(folder: Path, content: ParsedSource, log: ImportLog, left_out: str) -> None:
    """Write statistics, summary and figures into `folder`, over earlier ones, and what was left out as `left_out`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "statistics.csv", content.items, header_of(content.items))
    write_table(folder / "summary.csv", content.summary, header_of(content.summary))
    rows = [{"file": entry.item, "reason": entry.reason} for entry in log.quarantined]
    write_table(folder / left_out, rows, ("file", "reason"))
    for chart in content.charts:
        save_chart(chart, folder)
