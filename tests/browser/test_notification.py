"""A cell with --notify shows a notification of the browser."""

from __future__ import annotations

RECORDER = """() => {
window.notes = [];
window.Notification = class { constructor(title, options) { notes.push([title, options.body]) }
  static permission = 'default';
  static requestPermission() { this.permission = 'granted'; return Promise.resolve('granted') } } }
"""


def test_a_run_with_notify_asks_first_and_then_notifies_once(lab):
    long_enough = "import heroku_magic.display.end_signal as end_signal; end_signal.LEAST = 0"
    lab.open("notify.ipynb", [f"%load_ext heroku_magic\n{long_enough}", "%heroku run hello --notify"])
    lab.page.evaluate(RECORDER)
    lab.run(0)
    lab.run(1)
    lab.wait_until("window.notes.length > 0")

    ((title, body),) = lab.page.evaluate("window.notes")
    assert title == "heroku_magic"
    assert body.startswith("hello is done after ")
