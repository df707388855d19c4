"""Files of AnnData and what anndata itself says of them, for tests of their reader: `make_anndata.py FOLDER`.

Run where anndata 0.12.19, pandas 2.3.3 and scipy are installed; the project's own environment has a newer pandas.
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas
import scipy.sparse

N, GENES = 60, [f"gene {number}" for number in range(6)]
FORMS = {"dense": np.asarray, "csr": scipy.sparse.csr_matrix, "csc": scipy.sparse.csc_matrix}


def made(form: str) -> anndata.AnnData:
    """Points with counts in X, their logarithm in a layer, places, and what pipelines leave in obs."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (N, len(GENES))).astype(np.float32)
    obs = {
        "library": pandas.Categorical(["s1", "s2"] * (N // 2)),
        "patient": [f"p{number % 4}" for number in range(N)],
        "n_genes": (counts > 0).sum(1),
        "leiden": pandas.Categorical([None, "1", "2"] * (N // 3)),
        "kept": pandas.array([True, None] * (N // 2), dtype="boolean"),
        "age": pandas.array([30, None, 40] * (N // 3), dtype="Int64"),
        "x": np.arange(N, dtype=float),
        "gene 1": ["a", "b"] * (N // 2),
    }
    table = anndata.AnnData(
        FORMS[form](counts),
        obs=pandas.DataFrame(obs, index=[f"AACG-{number}" for number in range(N)]),
        var=pandas.DataFrame({"mz": np.arange(6.0)}, index=GENES),
    )
    table.layers["log"] = FORMS[form](np.log1p(counts))
    table.obsm["spatial"] = rng.uniform(0, 1000, (N, 3 if form == "csc" else 2))
    table.obsm["X_umap"] = rng.normal(size=(N, 2))
    return table


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name in FORMS:
        made(name).write_h5ad(folder / f"{name}.h5ad")
        own = anndata.read_h5ad(folder / f"{name}.h5ad")
        told = {
            column: own.obs[column].astype(object).where(own.obs[column].notna(), "").astype(str) for column in own.obs
        }
        np.savez_compressed(
            folder / f"{name}.npz",
            X=own.to_df().to_numpy(),
            log=own.to_df("log").to_numpy(),
            spatial=own.obsm["spatial"],
            obs_names=own.obs_names.to_numpy(dtype=str),
            var_names=own.var_names.to_numpy(dtype=str),
            **{f"obs {column}": values.to_numpy(dtype=str) for column, values in told.items()},
        )
