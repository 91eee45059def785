"""The library behind `crossdim`: stages that turn artefacts into artefacts.

Nothing in here prints, exits or reads argv; the command line is `crossdim_cli`.
"""
