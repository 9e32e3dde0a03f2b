"""Cuts a VITS voice (one ONNX graph) in three, so that a clause's audio streams while the rest is still computed.

The parts, after Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech" (2021): text (phoneme ids → frames of the prior, with the frames each phoneme lasts), flow (prior →
latent) and decoder (latent → samples). Flow and decoder are convolutions only: computed on a window with as many
neighbour frames as their receptive field reaches, they give the very samples that the whole graph gives. That
reach is read from the graph itself.
"""

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


def cut_voice(path: Path) -> VoiceParts:
    """Read a Piper voice and cut it. Raises MissingModelError when it is not a single-speaker VITS graph."""
    model = onnx.load(str(path))
    nodes = list(model.graph.node)
    made_by = {name: node for node in nodes for name in node.output}
    flow = [node for node in nodes if node.name.startswith("/flow/")]
    decoder = [node for node in nodes if node.name.startswith("/dec/")]
    durations = [name for node in nodes if node.op_type == "Ceil" for name in node.output]
    if not flow or not decoder or len(durations) != 1 or len(model.graph.input) != 3:
        raise MissingModelError(
            f"{path.name}: expected a single-speaker Piper (VITS) graph, got something else.",
            remedy="Use a single-speaker voice exported by Piper's own exporter.",
        )
    latent = _entrances(decoder, made_by, model)
    prior, mask = _flow_entrances(flow, made_by, model)
    if len(latent) != 1:
        raise MissingModelError(
            f"{path.name}: its decoder has {len(latent)} inputs, 1 expected.", remedy="Use a single-speaker voice."
        )
    extract = Extractor(model).extract_model
    inputs = [item.name for item in model.graph.input]
    output = model.graph.output[0].name
    flow_model = extract([prior, mask], latent)
    decoder_model = extract(latent, [output])
    return VoiceParts(
        text=extract(inputs, [prior, mask, durations[0]]).SerializeToString(),
        flow=flow_model.SerializeToString(),
        decoder=decoder_model.SerializeToString(),
        prior_name=prior,
        mask_name=mask,
        durations_name=durations[0],
        latent_name=latent[0],
        output_name=output,
        flow_reach=_reach(flow_model),
        decoder_reach=_reach(decoder_model),
    )


def _entrances(part: list[NodeProto], made_by: dict[str, NodeProto], model: ModelProto) -> list[str]:
    """Tensors that enter a part from the rest of the graph (weights and constants aside), in order."""
    inside = {name for node in part for name in node.output}
    weights = {item.name for item in model.graph.initializer}
    outer: dict[str, None] = {}
    for node in part:
        for name in node.input:
            maker = made_by.get(name)
            if maker is not None and name not in inside | weights and maker.op_type != "Constant":
                outer[name] = None
    return list(outer)


def _flow_entrances(flow: list[NodeProto], made_by: dict[str, NodeProto], model: ModelProto) -> tuple[str, str]:
    """The prior sample and the mask: among what enters the flow, a sum (mean + noise) and a cast of booleans."""
    entering = _entrances(flow, made_by, model)
    priors = [name for name in entering if made_by[name].op_type == "Add"]
    masks = [name for name in entering if made_by[name].op_type == "Cast"]
    if len(priors) != 1 or len(masks) != 1:
        raise MissingModelError(
            f"The flow of the voice has inputs {entering}; one sum and one mask expected.",
            remedy="Use a voice exported by Piper's own exporter.",
        )
    return priors[0], masks[0]


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
