"""A small bank to be honest against: HTTP as in ../openapi/bank.yaml, its own PostgreSQL schema, and a fault switch.

    python deploy/agents/bank-retail/backend/serve.py --dsn postgresql://… [--port 8090] [--seed]

`POST /faults {"mode": "drop", "operation": "createRefund", "count": 1}` makes it misbehave (faults.py),
`DELETE /faults` ends that. Requests are checked as the contract says.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from books import Books, RefusedError
from faults import Fault, FaultSwitch

HERE = Path(__file__).parent
Handler = Callable[[web.Request], Awaitable[Any]]
KEY = "Idempotency-Key"


def create_app(pool: asyncpg.Pool) -> web.Application:
    """The application over a pool whose schema is there."""
    books, faults = Books(pool), FaultSwitch()
    stale: dict[str, Any] = {}
    app = web.Application(client_max_size=64 * 1024)

    def read(operation: str, path: str, handler: Handler) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            met = faults.take(operation, ("latency", "error", "down", "stale"))
            if (refused := await _misbehave(request, met)) is not None:
                return refused
            before = f"{operation} {request.path}"
            if "stale" in met and before in stale:
                return web.json_response(stale[before])
            answer = await _answered(handler, request)
            if isinstance(answer, web.Response):
                return answer
            stale.setdefault(before, answer)
            return web.json_response(answer)

        app.router.add_get(path, handle)

    def write(operation: str, path: str, kind: str, fields: dict[str, type]) -> None:
        async def act(request: web.Request) -> Any:
            key = request.headers.get(KEY, "")
            if not 16 <= len(key) <= 128:
                raise RefusedError(400, f"{KEY}: 16 to 128 characters")
            payload = await _body(request, fields)
            if "key" in request.match_info:
                payload["key"] = request.match_info["key"]
            return await books.act(kind, key, payload)

        async def handle(request: web.Request) -> web.StreamResponse:
            met = faults.take(operation, ("latency", "error", "drop", "duplicate", "down"))
            if (refused := await _misbehave(request, met)) is not None:
                return refused
            await request.read()
            answer = await _answered(act, request)
            if "duplicate" in met:
                answer = await _answered(act, request)
            if "drop" in met:
                return _hang_up(request)
            return answer if isinstance(answer, web.Response) else web.json_response(answer[1], status=answer[0])

        app.router.add_post(path, handle)

    def check(operation: str, path: str, fields: dict[str, type]) -> None:
        """A POST that keeps nothing: the secret stands in its body, where no access log writes it down."""

        async def ask(request: web.Request) -> Any:
            payload = await _body(request, fields)
            return await books.check_pin(request.match_info["subject"], payload["pin"])

        async def handle(request: web.Request) -> web.StreamResponse:
            met = faults.take(operation, ("latency", "error", "down"))
            if (refused := await _misbehave(request, met)) is not None:
                return refused
            answer = await _answered(ask, request)
            return answer if isinstance(answer, web.Response) else web.json_response(answer)

        app.router.add_post(path, handle)

    text = {"subject": str}
    read("findCustomer", "/customers/by-number/{number}", lambda r: books.by_number(r.match_info["number"]))
    read("getCustomer", "/customers/{subject}", lambda r: books.customer(r.match_info["subject"]))
    check("checkPin", "/customers/{subject}/pin-checks", {"pin": str})
    read("listCards", "/customers/{subject}/cards", lambda r: books.cards(r.match_info["subject"]))
    read("listTransactions", "/customers/{subject}/transactions", lambda r: books.transactions(r.match_info["subject"]))
    read("getBalance", "/customers/{subject}/balance", lambda r: books.balance(r.match_info["subject"]))
    read("getCardBlock", "/card-blocks/by-key/{key}", lambda r: books.by_key("block", r.match_info["key"]))
    read("getRefund", "/refunds/by-key/{key}", lambda r: books.by_key("refund", r.match_info["key"]))
    read("getAddressChange", "/address-changes/by-key/{key}", lambda r: books.by_key("address", r.match_info["key"]))
    write("blockCard", "/card-blocks", "block", {**text, "card_id": str, "reason": str})
    write("createRefund", "/refunds", "refund", {**text, "txn_id": str, "amount_minor": int, "currency": str})
    write("cancelRefund", "/refunds/by-key/{key}/cancel", "cancel", {})
    write("changeAddress", "/address-changes", "address", {**text, "street": str, "postcode": str})

    async def set_fault(request: web.Request) -> web.Response:
        try:
            faults.set(Fault(**await request.json()))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def clear_faults(request: web.Request) -> web.Response:
        faults.clear()
        return web.json_response({"ok": True})

    app.router.add_post("/faults", set_fault)
    app.router.add_delete("/faults", clear_faults)
    return app


async def _misbehave(request: web.Request, met: dict[str, Fault]) -> web.StreamResponse | None:
    if "latency" in met:
        await asyncio.sleep(met["latency"].ms / 1000)
    if "down" in met:
        return _hang_up(request)
    return web.json_response({"error": "fault switch"}, status=500) if "error" in met else None


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection; the client sees it reset, with no answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _answered(handler: Handler, request: web.Request) -> Any:
    try:
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"error": str(refused)}, status=refused.status)


async def _body(request: web.Request, fields: dict[str, type]) -> dict[str, Any]:
    if not fields:
        return {}
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(body, dict) or set(body) != set(fields):
        raise RefusedError(400, f"expected exactly {', '.join(sorted(fields))}")
    for name, kind in fields.items():
        if type(body[name]) is not kind:
            raise RefusedError(400, f"{name}: expected {kind.__name__}")
    return body


async def prepare(pool: asyncpg.Pool, *, seed: bool) -> None:
    """Make the schema, and the example customers when asked."""
    await pool.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
    if seed:
        await pool.execute((HERE / "seed.sql").read_text(encoding="utf-8"))


async def _main(dsn: str, host: str, port: int, seed: bool) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=10) as pool:
        await prepare(pool, seed=seed)
        runner = web.AppRunner(create_app(pool))
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        print(f"bank on http://{host}:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--dsn", required=True, help="PostgreSQL of the bank; a schema `bank` is made in it.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8090)
    arguments.add_argument("--seed", action="store_true", help="Also two example customers.")
    given = arguments.parse_args()
    asyncio.run(_main(given.dsn, given.host, given.port, given.seed))
