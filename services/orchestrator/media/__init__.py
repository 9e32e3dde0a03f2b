"""One Leg interface over telephony and WebRTC; playout and what was heard."""
