"""What a request may take: size and time of its body, and how often one address may call."""

from aiohttp import web

from services.common.clock import Clock
from services.common.deadline import deadline
from services.orchestrator.web.errors import HttpError
from services.orchestrator.web.rate_limit import RateLimiter

MAX_BODY_BYTES = 65_536
BODY_DEADLINE_S = 5.0


def check_rate(limiter: RateLimiter, address: str, now_ns: int) -> None:
    """Raises HttpError 429 for an address that calls too often."""
    wait_s = limiter.take(address, now_ns)
    if wait_s:
        raise HttpError(
            429, "too_many_offers", "Too many calls from this address.", remedy="Wait.", retry_after_s=wait_s
        )


async def read_body(request: web.Request, clock: Clock) -> bytes:
    """The body, within its deadline. Raises HttpError 408, 413."""
    try:
        async with deadline(clock, BODY_DEADLINE_S):
            return await request.read()
    except TimeoutError:
        raise HttpError(408, "request_timeout", f"The body did not come within {BODY_DEADLINE_S:.0f} s.") from None
