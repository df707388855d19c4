"""Names of texts that are about series and are none, for import and score alike."""

import re

from vaeforge.data.group_rules import PARTICIPANTS

ABOUT = re.compile(
    rf"{re.escape(PARTICIPANTS)}|.*(_|^)((scans|sessions|events|channels|physio|confounds|motion)\b"
    r"|(relmat|conmat|connectome|mixing|stat-coverage)(?![a-z])).*\.(tsv|txt|csv)"
)
