"""Sphere maps: how far the surface is in every direction (`crossdim raycast`)."""
