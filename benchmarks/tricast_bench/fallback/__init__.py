"""How the fallback does in bad networks, measured."""
