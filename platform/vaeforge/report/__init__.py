"""Report of a search: one self-contained HTML page, and its figures for print."""
