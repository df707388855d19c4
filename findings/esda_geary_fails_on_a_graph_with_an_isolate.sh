#!/usr/bin/env bash
# esda 2.9.0 with libpysal 4.14.1: Geary's C over a `Graph` in which one point has no neighbour ends in a ValueError of
# numpy ("operands could not be broadcast together"), while Moran's I over the same graph, and Geary's C over the same
# graph as the older `W`, give a number. Seen for a distance band that leaves one of five points alone, which every
# section with a stray point has. Convert with `Graph.to_W()`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check esda==2.9.0 libpysal==4.14.1 geopandas==1.2.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import esda
import numpy as np
from libpysal.graph import Graph

values = np.array([1.0, 2.0, 4.0, 7.0, 11.0])
graph = Graph.build_distance_band(np.array([[0.0, 0], [1, 0], [2, 0], [3, 0], [9, 0]]), 1.5)
print("Moran", esda.Moran(values, graph, permutations=0).I, "Geary over W", esda.Geary(values, graph.to_W(), permutations=0).C)
try:
    esda.Geary(values, graph, permutations=0)
except ValueError as error:
    print("Geary over Graph:", error)
else:
    raise SystemExit("Geary over a Graph gave a number")
PY
