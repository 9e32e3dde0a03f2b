"""Voice activity and turn completion: one batched model run per tick for all calls."""

import os

# Before numpy is imported anywhere: OpenBLAS threads spin, which costs more than the small products they share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
