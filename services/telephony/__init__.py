"""The SIP/RTP worker: a native stack in a process of its own behind one contract."""
