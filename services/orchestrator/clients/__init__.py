"""gRPC clients of the model services: deadlines, cancellation, typed errors, bounded queues, reconnection."""
