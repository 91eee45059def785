"""Meshes, cameras, rotations, sampling and conversions. No input or output."""
