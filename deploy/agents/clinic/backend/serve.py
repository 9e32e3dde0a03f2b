"""A small clinic's calendar: HTTP as in ../openapi/clinic.yaml, its own PostgreSQL schema, and a fault switch.

    python deploy/agents/clinic/backend/serve.py --dsn postgresql://… [--port 8091]

`POST /faults {"mode": "down", "operation": "moveAppointment", "count": 1}` makes it misbehave: latency, error (500,
nothing done), drop (done, no answer), duplicate (taken twice), down (no answer, nothing done). `DELETE` ends it.
"""

import argparse
import asyncio
import datetime
import json
from typing import Any

import asyncpg
from aiohttp import web

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS clinic;
CREATE TABLE IF NOT EXISTS clinic.hours (weekday int PRIMARY KEY, opens text NOT NULL, closes text NOT NULL);
INSERT INTO clinic.hours SELECT day, '08:30', CASE WHEN day = 5 THEN '12:30' ELSE '17:30' END
    FROM generate_series(1, 5) AS day ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS clinic.appointments (
    subject text PRIMARY KEY, day date NOT NULL, time text NOT NULL, number text NOT NULL DEFAULT '',
    may_reschedule boolean NOT NULL DEFAULT true
);
CREATE TABLE IF NOT EXISTS clinic.moves (
    move bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, subject text NOT NULL,
    day date NOT NULL, deliveries int NOT NULL DEFAULT 1
);
"""
MODES = ("latency", "error", "drop", "duplicate", "stale", "down")


class Calendar:
    """The clinic over its database; `faults` apply in the order in which they were set."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.faults: list[dict[str, Any]] = []

    async def hours(self, request: web.Request) -> web.StreamResponse:
        """When it is open on a day."""
        if (spoilt := await self._misbehave(request, "getHours")) is not None:
            return spoilt
        day = _date(request.match_info["day"])
        if day is None:
            return web.json_response({"error": "day: expected YYYY-MM-DD"}, status=400)
        row = await self._pool.fetchrow("SELECT opens, closes FROM clinic.hours WHERE weekday = $1", day.isoweekday())
        if row is None:
            return web.json_response({"error": "closed on that day"}, status=404)
        return web.json_response(dict(row))

    async def find(self, request: web.Request) -> web.StreamResponse:
        """Whose telephone number this is; one of two patients is nobody's."""
        if (spoilt := await self._misbehave(request, "findPatient")) is not None:
            return spoilt
        number = request.match_info["number"]
        rows = await self._pool.fetch("SELECT subject FROM clinic.appointments WHERE number = $1", number)
        if len(rows) != 1:
            return web.json_response({"error": "no one patient with this number"}, status=404)
        return web.json_response(dict(rows[0]))

    async def patient(self, request: web.Request) -> web.StreamResponse:
        """What rules ask about a patient."""
        if (spoilt := await self._misbehave(request, "getPatient")) is not None:
            return spoilt
        row = await self._pool.fetchrow(
            "SELECT may_reschedule FROM clinic.appointments WHERE subject = $1", request.match_info["subject"]
        )
        if row is None:
            return web.json_response({"error": "no such patient"}, status=404)
        return web.json_response(dict(row))

    async def move(self, request: web.Request) -> web.StreamResponse:
        """Move an appointment, once per key."""
        if (spoilt := await self._misbehave(request, "moveAppointment")) is not None:
            return spoilt
        met = {mode for mode in ("drop", "duplicate") if self._take("moveAppointment", mode)}
        try:
            body = json.loads(await request.read())
            day = _date(body["day"])
        except (ValueError, KeyError, TypeError):
            day = None
        key = request.headers.get("Idempotency-Key", "")
        if day is None or not 16 <= len(key) <= 128:
            return web.json_response({"error": "expected a day and an Idempotency-Key"}, status=400)
        for _ in range(2 if "duplicate" in met else 1):
            answer = await self._moved(request.match_info["subject"], key, day)
        return _hang_up(request) if "drop" in met else answer

    async def _moved(self, subject: str, key: str, day: datetime.date) -> web.Response:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", key)
            known = await connection.fetchrow(
                "UPDATE clinic.moves SET deliveries = deliveries + 1 WHERE key = $1 RETURNING day", key
            )
            if known is not None and known["day"] != day:
                return web.json_response({"error": "this key was used for another day"}, status=409)
            row = await connection.fetchrow(
                "UPDATE clinic.appointments SET day = $2 WHERE subject = $1 RETURNING day, time", subject, day
            )
            if row is None or day.isoweekday() > 5:
                return web.json_response({"error": "no such appointment, or closed on that day"}, status=422)
            if known is None:
                await connection.execute(
                    "INSERT INTO clinic.moves (key, subject, day) VALUES ($1, $2, $3)", key, subject, day
                )
            return web.json_response({"day": row["day"].isoformat(), "time": row["time"]})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Switch one on."""
        fault = {"operation": "*", "count": 1, "ms": 0, **await request.json()}
        if fault.get("mode") not in MODES:
            return web.json_response({"error": f"mode: expected one of {', '.join(MODES)}"}, status=400)
        self.faults.append(fault)
        return web.json_response({"ok": True})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """All off."""
        self.faults.clear()
        return web.json_response({"ok": True})

    def _take(self, operation: str, mode: str) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault["mode"] == mode and fault["operation"] in ("*", operation):
                fault["count"] -= 1 if fault["count"] > 0 else 0
                if fault["count"] == 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _misbehave(self, request: web.Request, operation: str) -> web.StreamResponse | None:
        if (slow := self._take(operation, "latency")) is not None:
            await asyncio.sleep(slow["ms"] / 1000)
        if self._take(operation, "down") is not None:
            return _hang_up(request)
        failed = self._take(operation, "error")
        return web.json_response({"error": "fault switch"}, status=500) if failed is not None else None


def _date(text: object) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(text))
    except ValueError:
        return None


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection; the client sees it reset, with no answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _main(dsn: str, host: str, port: int) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=10) as pool:
        await pool.execute(SCHEMA)
        calendar = Calendar(pool)
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_get("/hours/{day}", calendar.hours)
        app.router.add_get("/patients/by-number/{number}", calendar.find)
        app.router.add_get("/patients/{subject}", calendar.patient)
        app.router.add_put("/patients/{subject}/appointment", calendar.move)
        app.router.add_post("/faults", calendar.set_fault)
        app.router.add_delete("/faults", calendar.clear_faults)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        print(f"clinic on http://{host}:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--dsn", required=True, help="PostgreSQL of the clinic; a schema `clinic` is made in it.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8091)
    given = arguments.parse_args()
    asyncio.run(_main(given.dsn, given.host, given.port))
