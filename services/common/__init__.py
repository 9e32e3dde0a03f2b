"""How any Trunkline process starts: settings, logs, metrics, tracing, TLS, gRPC, clock."""
