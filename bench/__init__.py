"""The benchmark of poolcore: ``python -m bench`` from the repository's root; see README.md."""
