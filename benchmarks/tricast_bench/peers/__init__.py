"""Servers that tricast is measured beside."""
