"""How the cost grows, as measured: sweeps, their figures, a picture and the words beside it."""
