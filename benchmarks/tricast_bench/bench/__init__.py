"""`tricast bench`: scenarios over the three transports, on a fresh server each, from plan to results.json."""
