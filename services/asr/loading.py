"""Loading a CTranslate2 Whisper model on the device of the settings, with errors that say what is missing."""

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import ctranslate2

from services.common.errors import SettingsError, UnavailableError
from services.common.settings import AsrSettings


def load_whisper(settings: AsrSettings, path: Path) -> Any:
    """The model. Raises SettingsError or UnavailableError for a device or compute type that this machine lacks."""
    try:
        supported = ctranslate2.get_supported_compute_types(settings.device)
        if settings.compute_type not in {*supported, "default", "auto"}:
            raise SettingsError(
                f"asr.compute_type: expected one of {', '.join(sorted(supported))}, got {settings.compute_type!r}."
            )
        if settings.device == "cuda":
            _load_cublas()
        return ctranslate2.models.Whisper(
            str(path),
            device=settings.device,
            compute_type=settings.compute_type,
            intra_threads=settings.threads,
            inter_threads=1,
        )
    except (RuntimeError, ValueError) as error:
        remedy = "Set asr.device=cpu, or see to the NVIDIA driver." if settings.device == "cuda" else ""
        raise SettingsError(
            f"The model {settings.model} cannot be loaded on {settings.device}: {error}.", remedy=remedy
        ) from error


def device_name(settings: AsrSettings) -> str:
    """For Describe: "cpu", or which of how many CUDA devices."""
    if settings.device == "cpu":
        return "cpu"
    return f"cuda:0 of {ctranslate2.get_cuda_device_count()}"


def _load_cublas() -> None:
    """CTranslate2 looks for libcublas.so.12 by name when it first computes: load it before, even from its wheel."""
    try:
        ctypes.CDLL("libcublas.so.12", mode=ctypes.RTLD_GLOBAL)
        return
    except OSError:
        pass  # Not on the loader's path: the wheel keeps it elsewhere.
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(root) / "cublas" / "lib"
        if (folder / "libcublas.so.12").is_file():
            # cublasLt first: cublas needs it and would not find it beside itself.
            ctypes.CDLL(str(folder / "libcublasLt.so.12"), mode=ctypes.RTLD_GLOBAL)
            ctypes.CDLL(str(folder / "libcublas.so.12"), mode=ctypes.RTLD_GLOBAL)
            return
    raise UnavailableError(
        "asr.device is cuda, but libcublas.so.12 is not on this machine.",
        remedy="Install nvidia-cublas-cu12 (it may stand beside CUDA 13), or set asr.device=cpu.",
    )
