"""The only door to systems of record: validate, policy, confirm, execute, ground. Decisions are pure, I/O is thin."""
