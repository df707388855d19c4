"""Results of a search: ranking, Pareto front, reports, and the manifest of the winner."""
