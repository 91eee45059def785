"""Whether this machine has what crossdim needs: versions, devices, files, and what mends it.

Nothing here raises: what is broken is what is looked for. What may hang or crash runs in a process
of its own that can be killed.
"""
