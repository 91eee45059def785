"""Viewpoints of real pictures: import, density, sampling (`crossdim viewpoints`)."""
