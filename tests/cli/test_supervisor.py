"""Real (tiny) processes started, watched, restarted and stopped."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.cli.stack import Health, LaunchSpec
from services.cli.supervisor import Supervisor, backoff_s
from services.common.clock import SystemClock
from services.common.errors import DeadlineError, UnavailableError

TINY = str(Path(__file__).with_name("tiny_service.py"))


def tiny(tmp_path: Path, name: str = "tiny", mode: str = "", never_ready: bool = False) -> LaunchSpec:
    state = tmp_path / f"{name}.state"

    async def probe() -> tuple[Health, str]:
        if never_ready:
            return ("warming", "loading")
        return ("ready", "") if state.exists() and state.read_text().isdigit() else ("down", "")

    argv = (sys.executable, TINY, str(state), *([mode] if mode else []))
    return LaunchSpec(name, argv, probe, grace_s=1.0, address="nowhere")


async def until(condition, deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 (the condition is in another process)
            await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_all_become_ready_and_stop_leaves_nothing(tmp_path: Path) -> None:
    stack = Supervisor([tiny(tmp_path, "a"), tiny(tmp_path, "b")], tmp_path / "logs", SystemClock())
    stack.start()
    await stack.until_ready(10)
    pids = list(stack.pids.values())
    assert [v.state for v in stack.views] == ["ready", "ready"]
    await stack.stop()
    assert all(gone(pid) for pid in pids)
    assert [v.state for v in stack.views] == ["stopped", "stopped"] or not stack.pids
    assert (tmp_path / "a.state").read_text() == "stopped"
    assert '"hello"' in (tmp_path / "logs" / "a.log").read_text()


async def test_a_process_that_cannot_start_fails_the_start_with_its_own_words(tmp_path: Path) -> None:
    stack = Supervisor([tiny(tmp_path, "a"), tiny(tmp_path, "b", "fail")], tmp_path / "logs", SystemClock())
    stack.start()
    with pytest.raises(UnavailableError, match=r"b could not start \(exit status 1\): model x is missing"):
        await stack.until_ready(10)
    await stack.stop()
    assert stack.pids == {}


async def test_one_that_never_gets_ready_is_named_with_what_it_waits_for(tmp_path: Path) -> None:
    stack = Supervisor([tiny(tmp_path, never_ready=True)], tmp_path / "logs", SystemClock())
    stack.start()
    with pytest.raises(DeadlineError, match="tiny is warming loading"):
        await stack.until_ready(1.5)
    await stack.stop()


async def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    states: list[str] = []
    stack = Supervisor(
        [tiny(tmp_path)], tmp_path / "logs", SystemClock(), on_change=lambda: states.append(stack.views[0].state)
    )
    stack.start()
    await stack.until_ready(10)
    first = stack.pids["tiny"]
    (tmp_path / "tiny.state").unlink()
    os.kill(first, signal.SIGKILL)
    await until(lambda: stack.pids.get("tiny", first) != first)
    await stack.until_ready(10)
    assert stack.views[0].restarts == 1
    assert "restarting" in states
    await stack.stop()


async def test_processes_that_own_calls_are_restarted_one_after_the_other_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    down: list[set[str]] = []
    specs = [tiny(tmp_path, "model"), *(replace(tiny(tmp_path, name), owns_calls=True) for name in ("w1", "w2"))]
    stack = Supervisor(
        specs,
        tmp_path / "logs",
        SystemClock(),
        on_change=lambda: down.append({view.name for view in stack.views if view.state != "ready"}),
    )
    stack.start()
    await stack.until_ready(10)
    before = stack.pids
    down.clear()
    await asyncio.wait_for(stack.restart_in_turn(), 10)
    after = stack.pids
    assert after["model"] == before["model"]
    assert before["w1"] != after["w1"]
    assert before["w2"] != after["w2"]
    # Never two at once.
    assert all(len(names) <= 1 for names in down)
    await stack.stop()


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    stack = Supervisor([tiny(tmp_path, mode="stubborn")], tmp_path / "logs", SystemClock())
    stack.start()
    await stack.until_ready(10)
    pid = stack.pids["tiny"]
    await stack.stop()
    assert gone(pid)


async def test_no_orphan_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "child.state"
    script = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from services.cli.stack import LaunchSpec
        from services.cli.supervisor import Supervisor
        from services.common.clock import SystemClock
        async def probe(): return ("ready", "")
        async def main():
            spec = LaunchSpec("c", (sys.executable, {TINY!r}, {str(state)!r}), probe, 1.0, "")
            Supervisor([spec], Path({str(tmp_path / "logs")!r}), SystemClock()).start()
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    try:
        await until(lambda: state.exists() and state.read_text().isdigit())
        child = int(state.read_text())
        parent.kill()
        await until(lambda: gone(child))
    finally:
        with contextlib.suppress(ProcessLookupError):
            parent.kill()
        await parent.wait()


@pytest.mark.parametrize(("deaths", "delay"), [(1, 0.5), (2, 1.0), (4, 4.0), (20, 30.0)])
def test_restarts_back_off_up_to_half_a_minute(deaths: int, delay: float) -> None:
    assert backoff_s(deaths) == delay
