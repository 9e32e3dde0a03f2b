"""A call, from ring to hang-up."""
