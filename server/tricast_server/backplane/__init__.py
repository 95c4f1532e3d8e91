"""Replicated logs behind one interface."""
