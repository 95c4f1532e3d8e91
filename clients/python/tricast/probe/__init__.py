"""What lies between a client and its server: which transports pass, what is wrong with the others, what to change."""

from tricast.probe.advice import Choice
from tricast.probe.observation import Arrival, Figures, Finding, Observation, Uplink, Verdict
from tricast.probe.report import Report
from tricast.probe.run import Plan, Step, probe

__all__ = [
    "Arrival",
    "Choice",
    "Figures",
    "Finding",
    "Observation",
    "Plan",
    "Report",
    "Step",
    "Uplink",
    "Verdict",
    "probe",
]
