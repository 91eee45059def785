"""From a picture to a 3D model: what the systems that answer to one picture say of any file.

`images` reads a picture and frames the object as in the pictures that a network was trained on,
`networks` finds the network, one module a system turns its answer into files and pictures, and
`writing` puts them beside the picture without touching what is not ours.
"""
