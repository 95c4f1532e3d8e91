"""The benchmark harness: locust users for each transport and a bus micro-benchmark."""
