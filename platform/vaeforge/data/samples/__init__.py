"""Scripts that made the sample data of the project, one runnable file each."""
