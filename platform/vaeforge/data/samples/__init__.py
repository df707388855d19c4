"""How the samples that the project carries were made, one runnable file each."""
