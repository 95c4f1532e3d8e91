"""The wire contract as types and codecs. No I/O, and nothing of ours is imported but `tricast.errors`."""
