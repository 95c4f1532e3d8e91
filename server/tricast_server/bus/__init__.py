"""The bus: one log, many cursors. Knows nothing of HTTP."""
