"""Cuts a VITS voice (one ONNX graph) in three, so that a clause's audio streams while the rest is still computed.

The parts, after Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech" (2021): text (phoneme ids → frames of the prior, with the frames each phoneme lasts), flow (prior →
latent) and decoder (latent → samples). Flow and decoder are convolutions only: computed on a window with as many
neighbour frames as their receptive field reaches, they give the very samples that the whole graph gives. That
reach is read from the graph itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto
from onnx.utils import Extractor

from services.common.errors import MissingModelError


@dataclass(frozen=True)
class VoiceParts:
    """Serialized sub-models, the names that join them, and how many frames each needs on either side."""

    text: bytes
    flow: bytes
    decoder: bytes
    prior_name: str
    mask_name: str
    durations_name: str
    latent_name: str
    output_name: str
    flow_reach: int
    decoder_reach: int


class _Seams:
    """Finds the tensors that join the parts by what VITS computes there, not by how an exporter named its nodes."""

    def __init__(self, model: ModelProto) -> None:
        nodes = list(model.graph.node)
        self._nodes = nodes
        self._makers = {name: node for node in nodes for name in node.output}
        self.durations = self._only(name for node in nodes if node.op_type == "Ceil" for name in node.output)
        self.latent = self._latent()
        self.mask = self._only(
            name for name in self._makers[self.latent].input if self._op(name) == "Cast"
        )  # The latent is flow times mask.
        self.prior = self._prior()

    def _latent(self) -> str:
        """The decoder begins with a convolution; then come a rectifier and the first upsampling."""
        first = next((node for node in self._nodes if node.op_type == "ConvTranspose"), None)
        rectifier = self._makers.get(first.input[0]) if first is not None else None
        opening = self._makers.get(rectifier.input[0]) if rectifier is not None else None
        if opening is None or opening.op_type != "Conv" or self._op(opening.input[0]) != "Mul":
            raise _NotVitsError("a decoder that opens with a convolution")
        return opening.input[0]

    def _prior(self) -> str:
        """Mean plus scaled noise: the first sum after the noise that does not go into the durations."""
        before_durations = self._ancestors(self.durations)
        noises = [node.output[0] for node in self._nodes if node.op_type == "RandomNormalLike"]
        name = self._only(noise for noise in noises if noise not in before_durations)
        while self._op(name) != "Add":
            name = self._only(out for node in self._nodes if name in node.input for out in node.output)
        return name

    def _ancestors(self, name: str) -> set[str]:
        found, todo = set[str](), [name]
        while todo:
            maker = self._makers.get(todo.pop())
            new = [item for item in maker.input if item not in found] if maker is not None else []
            found.update(new)
            todo += new
        return found

    def _op(self, name: str) -> str:
        maker = self._makers.get(name)
        return maker.op_type if maker is not None else ""

    @staticmethod
    def _only(names: Iterable[str]) -> str:
        found = list(names)
        if len(found) != 1:
            raise _NotVitsError(f"one tensor at a seam, not {len(found)}")
        return found[0]


class _NotVitsError(Exception):
    """The graph is not the one of a single-speaker VITS voice; says what was looked for."""


def cut_voice(path: Path) -> VoiceParts:
    """Read a Piper voice and cut it. Raises MissingModelError when it is not a single-speaker VITS graph."""
    model = onnx.load(str(path))
    inputs = [item.name for item in model.graph.input]
    try:
        if len(inputs) != 3:
            raise _NotVitsError(f"3 inputs, not {len(inputs)}")
        seams = _Seams(model)
    except _NotVitsError as error:
        raise MissingModelError(
            f"{path.name}: expected a single-speaker Piper (VITS) graph with {error}.",
            remedy="Choose a single-speaker voice for tts.voices.",
        ) from error
    output = model.graph.output[0].name
    extract = Extractor(model).extract_model
    flow, decoder = extract([seams.prior, seams.mask], [seams.latent]), extract([seams.latent], [output])
    return VoiceParts(
        text=extract(inputs, [seams.prior, seams.mask, seams.durations]).SerializeToString(),
        flow=flow.SerializeToString(),
        decoder=decoder.SerializeToString(),
        prior_name=seams.prior,
        mask_name=seams.mask,
        durations_name=seams.durations,
        latent_name=seams.latent,
        output_name=output,
        flow_reach=_reach(flow),
        decoder_reach=_reach(decoder),
    )


def _reach(part: ModelProto) -> int:
    """How many input frames away an input can still change an output, on one side (rounded up)."""
    reach: dict[str, float] = {}
    rate: dict[str, int] = {}
    for node in part.graph.node:
        known = [name for name in node.input if name in reach]
        frames = max((reach[name] for name in known), default=0.0)
        scale = max((rate[name] for name in known), default=1)
        if node.op_type == "Conv":
            frames += (_attribute(node, "kernel_shape") - 1) * _attribute(node, "dilations") / 2 / scale
        elif node.op_type == "ConvTranspose":
            frames += _attribute(node, "kernel_shape") / 2 / (scale * _attribute(node, "strides"))
            scale *= _attribute(node, "strides")
        for name in node.output:
            reach[name], rate[name] = frames, scale
    return int(max(reach.values())) + 1


def _attribute(node: NodeProto, name: str) -> int:
    """First element of an integer list attribute (1-D convolutions have one); 1 when absent."""
    return next((int(item.ints[0]) for item in node.attribute if item.name == name and item.ints), 1)
