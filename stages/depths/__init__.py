"""Orthographic depth maps at fixed and novel views (`crossdim depths`)."""
