"""Priorities are asked for, and a worker without permission runs all the same."""

import os
import threading

import pytest
import structlog

from services.telephony import priority
from services.telephony.priority import MediaThreads, raise_priority


def test_nothing_is_asked_for_when_it_is_turned_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "setpriority", lambda *_: pytest.fail("asked"))
    assert raise_priority(0) is False


def test_a_refusal_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    with structlog.testing.capture_logs() as logs:
        assert raise_priority(-10) is False
    assert "CAP_SYS_NICE" in logs[0]["remedy"]


def named_thread(name: str) -> tuple[threading.Event, threading.Thread]:
    """A thread that carries the engine's name for it and waits."""
    ready, release = threading.Event(), threading.Event()

    def run() -> None:
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
            comm.write(name)
        ready.set()
        release.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(5)
    return release, thread


def test_only_the_engines_source_threads_are_raised_and_once(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda tid, _policy, param: asked.append((tid, param.sched_priority)))
    threads = [named_thread(name) for name in ("aumem_src", "Audio TX", "other")]
    try:
        media = MediaThreads()
        assert media.raise_new() == 1
        assert media.raise_new() == 0
        assert asked == [(threads[0][1].native_id, priority.REALTIME["aumem_src"])]
    finally:
        for release, thread in threads:
            release.set()
            thread.join()


def test_without_permission_it_is_said_once_and_not_tried_again(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    release, thread = named_thread("aumem_src")
    try:
        media = MediaThreads()
        with structlog.testing.capture_logs() as logs:
            assert [media.raise_new(), media.raise_new()] == [0, 0]
        assert len(logs) == 1
    finally:
        release.set()
        thread.join()
