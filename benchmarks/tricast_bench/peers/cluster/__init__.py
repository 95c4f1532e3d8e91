"""What it costs that several processes share one log: workers, engines, and both together."""
