"""The figures of speckle: power spectra and grain statistics of the data, reconstructions and generated samples."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import canvas, one_axes

Floats = NDArray[np.float64]
BINS = 30


def draw_spectra(frequency: Floats, powers: Mapping[str, Floats]) -> Figure:
    """The mean power of each set at each frequency [K], logarithmic."""
    figure, axes = one_axes("frequency, cycles per pixel", "power")
    for name, power in powers.items():
        axes.plot(frequency, np.where(power > 0, power, np.nan), label=name)
    axes.set_yscale("log")
    axes.legend(loc="upper right", fontsize=7)
    return figure


def draw_grain(measures: Mapping[str, Mapping[str, Floats]]) -> Figure:
    """One histogram for each measure: its values [N] for each set; images without a value (NaN) are left out."""
    figure = canvas(4.5 * len(measures), 4)
    for axes, (measure, sets) in zip(
        figure.subplots(1, len(measures), squeeze=False)[0], measures.items(), strict=True
    ):
        defined = {name: values[np.isfinite(values)] for name, values in sets.items()}
        everything = np.concatenate(list(defined.values()))
        edges = np.histogram_bin_edges(everything, bins=BINS)
        for name, values in defined.items():
            share = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(values, bins=edges, weights=share, histtype="step", label=f"{name} ({len(values)})")
        axes.set_xlabel(measure)
        axes.set_ylabel("share of images")
        axes.legend(loc="upper right", fontsize=7)
    return figure
