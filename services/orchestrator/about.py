"""What runs here, for /api/about: version, commit, every service's own description, the settings that matter."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf.json_format import MessageToDict

from services import __version__
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2_grpc
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2_grpc
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc
from services.pb.trunkline.tts.v1 import tts_pb2_grpc
from services.pb.trunkline.vad.v1 import vad_pb2_grpc

DESCRIBE_DEADLINE_S = 2.0

_STUBS: Mapping[str, Any] = {
    "vad": vad_pb2_grpc.VadServiceStub,
    "asr": asr_pb2_grpc.AsrServiceStub,
    "llm": llm_pb2_grpc.LlmServiceStub,
    "tts": tts_pb2_grpc.TtsServiceStub,
    "telephony": telephony_pb2_grpc.TelephonyServiceStub,
}


class About:
    """Implements web.about.AboutSource."""

    def __init__(self, settings: Settings, channels: Mapping[str, grpc.aio.Channel]) -> None:
        self._settings = settings
        self._channels = channels
        self._commit = _commit()

    async def __call__(self) -> dict[str, Any]:
        """Never raises: a service that does not answer is described by its status."""
        names = list(self._channels)
        described = await asyncio.gather(*(self._describe(name) for name in names))
        return {
            "profile": self._settings.profile,
            "version": __version__,
            "commit": self._commit,
            "services": dict(zip(names, described, strict=True)),
            "settings": {
                "orchestrator": self._settings.orchestrator.model_dump(
                    mode="json", exclude={"webrtc": {"turn_password_file", "turn_username"}}
                ),
                "scripted": self._settings.scripted.model_dump(mode="json"),
                "locale": self._settings.agent.locale,
            },
        }

    async def _describe(self, name: str) -> dict[str, Any]:
        stub = _STUBS[name](self._channels[name])
        try:
            answer = await stub.Describe(common_pb2.DescribeRequest(), timeout=DESCRIBE_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return {"error": error.code().name}
        facts: dict[str, Any] = MessageToDict(answer, preserving_proto_field_name=True)
        return facts


def _commit() -> str:
    """The commit of the checkout this runs from; empty outside one."""
    try:
        said = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""
