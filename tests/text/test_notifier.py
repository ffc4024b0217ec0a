"""Each message reaches the caller that started the work, in every thread."""

from __future__ import annotations

import inspect
import threading

import pytest

from heroku_magic.text.notifier import discard, keeps_notifications, notifications_to, notifies_owner, notify


@notifies_owner
class Connection:
    def __init__(self, on_message):
        self.on_message = on_message

    def run(self, task, *, size=None):
        """Run it."""
        notify(f"Running {task} on {size}")
        return task


@pytest.fixture
def messages():
    return []


def run_in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_message_is_printed_by_default(capsys):
    notify("Hello")
    assert capsys.readouterr().out == "Hello\n"


def test_the_innermost_callback_gets_the_message_and_the_outer_one_is_restored(messages, capsys):
    with notifications_to(messages.append):
        with notifications_to(discard):
            notify("dropped")
        with notifications_to(None):
            notify("printed")
        notify("kept")
    notify("printed, too")
    assert messages == ["kept"]
    assert capsys.readouterr().out == "printed\nprinted, too\n"


def test_a_thread_keeps_the_callback_of_the_call_that_started_it(messages):
    with notifications_to(messages.append):
        work = keeps_notifications(lambda: notify("from a thread"))
    with notifications_to(discard):
        run_in_thread(work)
    assert messages == ["from a thread"]


def test_one_wrapped_function_can_run_in_many_threads_at_once(messages):
    with notifications_to(messages.append):
        meet = keeps_notifications(lambda barrier: (barrier.wait(20), notify("here")))
    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=meet, args=(barrier,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert messages == ["here"] * 4


def test_the_messages_of_a_connection_go_to_whoever_connected_last(messages):
    others = []
    connection = Connection(others.append)
    connection.on_message = messages.append
    assert connection.run("simulate", size="basic") == "simulate"
    assert (messages, others) == (["Running simulate on basic"], [])


def test_a_caller_that_redirects_messages_gets_those_of_a_connection(messages):
    others = []
    with notifications_to(messages.append):
        Connection(others.append).run("simulate")
    assert (messages, others) == (["Running simulate on None"], [])


def test_the_signature_and_the_docstring_of_a_method_stay_visible():
    assert str(inspect.signature(Connection.run)) == "(self, task, *, size=None)"
    assert Connection.run.__doc__ == "Run it."


def test_a_message_is_safe_to_show(messages, capsys):
    with notifications_to(messages.append):
        notify("The app \x1b[2Jmy\u200b-app\u202e is\ngone.")
    notify("my\xad-app\x07")

    assert messages == ["The app my\\u200b-app\\u202e is\ngone."]
    assert capsys.readouterr().out == "my\\xad-app\\x07\n"
