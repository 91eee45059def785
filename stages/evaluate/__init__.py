"""Protocols: one file a way to evaluate. Results are cached like every other artefact."""
