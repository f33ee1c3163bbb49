"""Calls side by side are made in their order, each once, whatever the cores."""

import threading
import time

import pytest

from sftcli.cores import SHARE, cores
from sftcli.threads import InOrder


def test_cores_are_those_that_a_process_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARE, raising=False)
    there = cores()
    for text, expected in (("1", 1), (str(there + 5), there), ("0", there), ("", there), ("many", there)):
        monkeypatch.setenv(SHARE, text)
        assert cores() == expected


@pytest.mark.parametrize("ahead", [0, 1, 3, 100])
@pytest.mark.parametrize("share", ["1", "2"])
def test_calls_are_made_in_order(ahead: int, share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, share)
    made: list[int] = []
    with InOrder(ahead) as calls:
        for number in range(50):
            calls.put(made.append, number, weight=1 + number % 4)
    assert made == list(range(50))


def test_one_core_makes_calls_at_once_when_the_first_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "1")
    threads: list[threading.Thread] = []
    loaded = threading.Event()

    def first() -> None:
        loaded.wait()
        threads.append(threading.current_thread())

    with InOrder(100) as calls:
        calls.put(first)
        for _ in range(5):
            calls.put(lambda: threads.append(threading.current_thread()))
        assert threads == []
        loaded.set()
        while not threads:
            time.sleep(0.001)
        for _ in range(5):
            calls.put(lambda: threads.append(threading.current_thread()))
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [False] * 6 + [True] * 5


@pytest.mark.parametrize("share", ["1", "2"])
def test_what_a_call_raises_ends_the_rest(share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, share)
    made: list[int] = []

    def call(number: int) -> None:
        if number == 3:
            raise ValueError(number)
        made.append(number)

    def make_all() -> None:
        with InOrder(2) as calls:
            for number in range(100):
                calls.put(call, number)

    with pytest.raises(ValueError, match="3"):
        make_all()
    assert made == [0, 1, 2]


def test_weights_bound_what_waits() -> None:
    """Of two heavy calls the second waits to be queued until the first is done."""
    began, go_on = threading.Event(), threading.Event()

    def heavy() -> None:
        began.set()
        go_on.wait()

    with InOrder(10) as calls:
        calls.put(heavy, weight=6)
        began.wait()
        threading.Timer(0.05, go_on.set).start()
        calls.put(heavy, weight=6)
        assert go_on.is_set()
