"""Voice activity and turn completion: one batched model run per tick for all calls."""
