"""Trunkline: a self-hosted voice stack. The model is one part; the system around it is the product."""

import os

# gRPC's handlers stop and restart its threads around a fork. A fork here is always followed by an exec (PostgreSQL
# under another user), which needs none of that.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
