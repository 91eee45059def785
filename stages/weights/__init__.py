"""Packed weights: one network in one small file, with a card that says what it is.

`NAME.safetensors` holds the weights, matrices and filters in half precision, `NAME.json` the card:
what the network is and was trained on, by which command, how good it is beside trivial answers, its
limits and its licence, and the sha256 of the file. `NAME.md` is the card for people. Those that
come with the package are in `shipped/`.
"""
