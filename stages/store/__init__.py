"""The cache: immutable HDF5 shards, their commit, the index over them, and readers.

An artefact is a folder `WORKSPACE/<stage>/<variant>/` of shards and a manifest that can always be
rebuilt from them. Nothing is ever opened for append or rewritten in place.
"""
