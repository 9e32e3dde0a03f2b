"""CPU time and memory of processes, this one among them."""

import os

from services.cli.resources import ResourceMeter, listening_pids
from services.cli.stack import Launch
from services.common.clock import VirtualClock


def test_cpu_time_counts_from_the_beginning_and_memory_is_the_highest_seen() -> None:
    meter = ResourceMeter({"me": os.getpid(), "gone": 2**22 + 1}, VirtualClock(), own_name="this")
    meter.begin()
    sum(i * i for i in range(2_000_000))
    meter.end()
    report = meter.to_json(call_minutes=2.0)
    assert set(report) == {"me", "gone", "this"}
    assert 0.02 < report["me"]["cpu_s"] < 30
    assert report["me"]["cpu_s_per_call_minute"] <= report["me"]["cpu_s"]
    assert report["me"]["rss_mb"] > 10
    assert 0 <= report["me"]["waited_s"] < 60
    assert report["gone"] == {"cpu_s_per_call_minute": 0.0, "cpu_s": 0.0, "rss_mb": 0.0, "waited_s": 0.0}


def test_a_stack_that_is_not_there_has_no_processes() -> None:
    settings = Launch.load(None, "cpu", ["vad.port=1", "web.port=2"]).settings
    assert listening_pids(settings, ["vad", "orchestrator"]) == {}
