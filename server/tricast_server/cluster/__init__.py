"""Several workers on one port of one machine, and the log's engine that they share, under one supervisor."""
