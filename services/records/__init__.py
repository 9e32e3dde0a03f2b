"""What must be provable afterwards: an append-only audit log that anybody with the public keys can check."""
