"""Figures of results and sweeps: a file a kind, and the registry that names them."""
