"""Functions on the sphere: their grids, spherical harmonics, correlation over rotations."""
