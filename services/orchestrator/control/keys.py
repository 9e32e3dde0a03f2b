"""Which act this is: the business key that happens once, and the hash of everything that was asked.

The key is made of the bundle's idempotency scope, not of the call or the attempt: the same refund asked for twice, in
one call or two, by one worker or two, is one act. The same key with another payload is refused, never answered with
the old result. Both are HMACs under the site's key (records.data_keys): what was asked has few possible values, and
its hash outlives the erasure of the values.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping

from services.orchestrator.bundles.model import Tool
from services.orchestrator.control.model import Scalar


def business_key(
    agent: str, name: str, tool: Tool, subject: str, args: Mapping[str, Scalar], secret: bytes = b""
) -> str:
    """64 hex digits over agent, tool and the values in scope. Raises KeyError for a scope that validation refused."""
    scope = tool.idempotency.scope if tool.idempotency is not None else tuple(sorted(args))
    values = [[part, subject if part == "subject" else args[part]] for part in scope]
    return _digest(["trunkline act v1", agent, name, values], secret)


def request_hash(name: str, args: Mapping[str, Scalar], secret: bytes = b"") -> str:
    """Over the tool and all arguments."""
    return _digest(["trunkline request v1", name, sorted(args.items())], secret)


def lock_names(tool: Tool, subject: str, args: Mapping[str, Scalar]) -> list[str]:
    """What to lock, in one order for everybody: acts on the same things never wait for each other in a ring."""
    values = {**{name: str(value) for name, value in args.items()}, "subject": subject}
    return sorted({template.format_map(values) for template in tool.locks})


def _digest(parts: object, secret: bytes) -> str:
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    return hmac.new(secret, text, hashlib.sha256).hexdigest()
