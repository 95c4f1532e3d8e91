"""Thin writers of one cursor, one per transport."""
