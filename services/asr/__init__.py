"""Speech recognition: Whisper on CTranslate2, streaming per call, batched across calls."""

import os

# Before numpy is imported anywhere: its OpenBLAS threads spin, which doubles the CPU of the mel spectrogram.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
