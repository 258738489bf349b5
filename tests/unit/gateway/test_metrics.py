"""What the gateway serves at /metrics."""

from __future__ import annotations

from agora_transcription.gateway.metrics import GatewayMetrics
from agora_transcription.telemetry.metrics import Metrics


def test_no_alert_on_the_operator_can_take_a_gateway_for_it() -> None:
    of_both = {family.name for family in Metrics().registry.collect()} & {
        family.name for family in GatewayMetrics().registry.collect()
    }
    assert all(name.startswith("process_") for name in of_both)
