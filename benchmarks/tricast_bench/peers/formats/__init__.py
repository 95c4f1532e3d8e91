"""`make bench-formats`: what a message costs in each format, plain and compressed."""
