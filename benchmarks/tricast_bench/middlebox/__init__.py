"""A misbehaving HTTP proxy for tests, the demo and benchmarks: faults that can be switched while traffic flows."""

from tricast_bench.middlebox.control import Control
from tricast_bench.middlebox.counters import Counters, Traffic
from tricast_bench.middlebox.faults import KINDS, FaultError, Faults, Kind
from tricast_bench.middlebox.presets import PRESETS, Preset
from tricast_bench.middlebox.proxy import Middlebox

__all__ = ["KINDS", "PRESETS", "Control", "Counters", "FaultError", "Faults", "Kind", "Middlebox", "Preset", "Traffic"]
