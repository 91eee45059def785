"""Pages that people look at: the report of a workspace, and what one artefact or run holds.

A page is one HTML file that needs nothing else: no network, no other file, no installation.
"""
