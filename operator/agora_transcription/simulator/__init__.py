"""An Agora that runs on a laptop: both REST dialects under their real paths, stricter than Agora and never kinder.

An independent implementation: nothing of the client in `agora` is used, so that a misunderstanding on one side shows.
"""

from agora_transcription.simulator.app import create_app
from agora_transcription.simulator.faults import Fault, Match, read_faults
from agora_transcription.simulator.options import DEMO_ACCOUNT, Account, Notifications, SimulatorOptions
from agora_transcription.simulator.server import run, serving

__all__ = [
    "DEMO_ACCOUNT",
    "Account",
    "Fault",
    "Match",
    "Notifications",
    "SimulatorOptions",
    "create_app",
    "read_faults",
    "run",
    "serving",
]
