"""Which processes, with which arguments, on which ports."""

import socket

import pytest

from services.cli.stack import (
    Launch,
    PortNeed,
    grpc_probe,
    http_probe,
    launch_specs,
    local_services,
    ports_needed,
    require_fixed_ports,
    require_ports,
    sip_uri,
    web_url,
)
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, SettingsError, UnavailableError
from services.common.settings import load_settings


def load(*pairs: str) -> Launch:
    return Launch.load(None, "cpu", pairs)


def test_every_process_gets_the_same_settings_and_json_logs() -> None:
    launch = load("asr.threads=2").with_overrides("web.port=18080")
    specs = launch_specs(launch, local_services(launch.settings), SystemClock())
    assert [s.name for s in specs] == ["vad", "asr", "llm", "tts", "telephony", "orchestrator"]
    for spec in specs:
        assert spec.argv[2] == f"services.{spec.name}"
        assert "asr.threads=2" in spec.argv
        assert spec.argv[-1] == "log.format=json"
    assert specs[-1].address == "http://127.0.0.1:18080"


def test_with_workers_there_are_a_database_a_front_and_a_process_for_each() -> None:
    launch = load("orchestrator.workers=2")
    specs = {s.name: s for s in launch_specs(launch, ["telephony", "orchestrator"], SystemClock())}
    assert list(specs) == ["telephony", "database", "front", "orchestrator-1", "orchestrator-2"]
    assert "orchestrator.worker=2" in specs["orchestrator-2"].argv
    assert [name for name, spec in specs.items() if spec.owns_calls] == ["orchestrator-1", "orchestrator-2"]
    assert specs["front"].address == "http://127.0.0.1:8080"
    ports = {need.port for need in ports_needed(launch.settings, ["orchestrator"])}
    assert ports == {8080, 9050, 9061, 9062}
    own = load("orchestrator.workers=2", "database.dsn=postgresql://db/trunkline")
    assert "database" not in {s.name for s in launch_specs(own, ["orchestrator"], SystemClock())}


def test_a_service_that_another_machine_runs_is_not_started_here() -> None:
    assert "llm" not in local_services(load("llm.target=dns:///llm.voice.svc:50053").settings)


def test_only_named_services_are_started_and_an_unknown_name_is_refused() -> None:
    settings = load().settings
    assert local_services(settings, ["tts", "vad"]) == ["vad", "tts"]
    with pytest.raises(InvalidInputError, match="expected some of vad, asr"):
        local_services(settings, ["vda"])


def test_a_setting_without_a_value_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidInputError, match="KEY=VALUE"):
        load("asr.threads")
    with pytest.raises(SettingsError, match=r"Did you mean asr\.threads"):
        load("asr.thread=2")


def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=rf"tts\.port = {port} \(tcp on 127\.0\.0\.1\) is in use") as raised:
            require_ports([PortNeed("tts.port", "127.0.0.1", port)])
        assert f"--set tts.port={port + 1000}" in raised.value.remedy


def test_an_address_of_another_machine_is_named_with_its_setting() -> None:
    with pytest.raises(UnavailableError, match=r"telephony\.sip\.port: cannot listen on 192\.0\.2\.1"):
        require_ports([PortNeed("telephony.sip.port", "192.0.2.1", 5060, "udp")])


def test_ports_of_all_processes_are_checked_and_a_metrics_port_of_zero_is_none() -> None:
    settings = load("vad.metrics_port=0").settings
    keys = [need.setting for need in ports_needed(settings, local_services(settings))]
    assert "vad.metrics_port" not in keys
    assert {"vad.port", "telephony.sip.port", "web.port", "orchestrator.metrics_port"} <= set(keys)


def test_addresses_for_people_can_be_dialled_from_here() -> None:
    settings = load("web.host=0.0.0.0", "telephony.sip.transport=tls", "telephony.sip.port=5061").settings
    assert web_url(settings) == "http://127.0.0.1:8080"
    assert sip_uri(settings) == "sip:trunkline@127.0.0.1:5061;transport=tls"


async def test_probes_say_down_where_nothing_listens() -> None:
    assert (await grpc_probe("127.0.0.1:1", load_settings(), SystemClock())())[0] == "down"
    assert (await http_probe("http://127.0.0.1:1/readyz")())[0] == "down"


@pytest.mark.parametrize(("name", "tree"), [("vad", {"vad": {"port": 0}}), ("orchestrator", {"web": {"port": 0}})])
def test_a_service_on_port_zero_is_refused_by_name_since_nobody_would_find_it(name, tree) -> None:
    settings = load_settings(env={}, overrides=tree)
    with pytest.raises(InvalidInputError, match=r"port: expected a port that the other processes can dial, got 0"):
        require_fixed_ports(settings, [name])
    require_fixed_ports(load_settings(env={}), ["vad", "asr", "llm", "tts", "telephony", "orchestrator"])


def test_who_starts_a_model_alone_is_not_told_to_call_it():
    from services.cli.up import RunningStack, where_to_talk

    stack = RunningStack(Launch.load(None, None, ()), True)
    assert any(line.startswith("Call over SIP") for line in where_to_talk(stack))
    assert not any("SIP" in line or "browser" in line for line in where_to_talk(stack, ("llm",)))
