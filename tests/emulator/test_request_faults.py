"""Faults of requests, by option and by the control route."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import requests
from emulators import wait_until


def test_a_429_or_a_page_of_html_replaces_the_response(faulty):
    emulator = faulty("rate-limit=1")
    assert emulator.ask("GET", "/apps", 429).json()["id"] == "rate_limit"
    emulator.ask("PUT", "/emulator/faults", json={"faults": {"html-503": 1}})
    page = emulator.ask("GET", "/apps", 503)
    assert page.headers["Content-Type"] == "text/html"
    assert "Application Error" in page.text
    assert emulator.ask("POST", "/apps/demo/log-sessions", 503, json={}).text == page.text


def test_a_create_breaks_off_before_or_after_it_takes_effect(faulty):
    emulator = faulty("reset-before-create=1")
    with pytest.raises(requests.exceptions.ConnectionError):
        emulator.create("sleep 5")
    assert emulator.get("/apps/demo/dynos") == []
    emulator.ask("PUT", "/emulator/faults", json={"faults": {"reset-after-create": 1}})
    with pytest.raises(requests.exceptions.ConnectionError):
        emulator.create("sleep 5")
    assert [dyno["command"] for dyno in emulator.get("/apps/demo/dynos")] == ["sleep 5"]


def test_a_create_takes_effect_although_it_gets_an_error_or_breaks_off(faulty):
    emulator = faulty("json-500-after-create=1")
    assert emulator.refused(500, command="sleep 50")["id"] == "internal_server_error"
    assert [dyno["command"] for dyno in emulator.get("/apps/demo/dynos")] == ["sleep 50"]
    emulator.ask("PUT", "/emulator/faults", json={"faults": {"late-create": 1}})
    with pytest.raises(requests.exceptions.ConnectionError):
        emulator.create("sleep 60")
    assert len(emulator.get("/apps/demo/dynos")) == 1
    wait_until(lambda: len(emulator.get("/apps/demo/dynos")) == 2)


def test_a_500_of_heroku_replaces_the_response(faulty):
    emulator = faulty("json-500=1")
    assert emulator.ask("GET", "/apps", 500).json()["id"] == "internal_server_error"


def test_the_first_creates_after_a_release_conflict(faulty):
    emulator = faulty("conflict-after-release=2")
    for _ in range(2):
        assert emulator.refused(409, command="true")["id"] == "conflict"
    emulator.create("true")
    emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": "1"})
    assert emulator.refused(409, command="true")["id"] == "conflict"


def test_a_new_dyno_is_not_visible_at_first(faulty):
    emulator = faulty("dyno-not-visible=1")
    dyno = emulator.create("sleep 5")
    emulator.ask("GET", f"/apps/demo/dynos/{dyno['id']}", 404)
    emulator.ask("GET", f"/apps/demo/dynos/{dyno['id']}", 200)


def test_the_platforms_clock_is_ahead(start, make_folder):
    emulator = start(make_folder(), "--fault", "clock-skew=3600")
    dyno = emulator.create("echo x")
    ahead = datetime.fromisoformat(dyno["created_at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert 3590 < ahead.total_seconds() < 3610
    (line,) = [line for line in emulator.log(dyno) if b"app[run" in line]
    assert line[:13].decode() == dyno["created_at"][:13]


def test_the_clock_of_the_log_differs_from_that_of_the_api_and_names_are_used_again(start, make_folder):
    emulator = start(make_folder(), "--fault", "log-skew=-600", "--fault", "reuse-names=1")
    first, other = emulator.create("sleep 0.2"), emulator.create("true")
    assert first["name"] == "run.1000" != other["name"]
    lines = emulator.log(first)
    behind = datetime.now(timezone.utc) - datetime.fromisoformat(lines[-1].split()[0].decode())
    assert 590 < behind.total_seconds() < 610
    wait_until(lambda: emulator.create("true")["name"] == "run.1000")


def test_the_control_route_reports_the_faults_and_refuses_invalid_ones(start, make_folder):
    emulator = start(make_folder(), "--fault", "drop-lines=0.5", "--seed", "3")
    assert emulator.get("/emulator/faults") == {"seed": 3, "faults": {"drop-lines": 0.5}}
    refused = emulator.ask("PUT", "/emulator/faults", 422, json={"faults": {"drop-line": 1}}).json()
    assert "'drop-line' is not a fault. Choose one of slow-boot" in refused["message"]
    emulator.ask("PUT", "/emulator/faults", 422, json={"fault": {}})
    emulator.ask("PUT", "/emulator/faults", 422, json={"seed": True})
    emulator.ask("PUT", "/emulator/faults", 422, json={"faults": {"clock-skew": 1e300}})
    assert emulator.get("/emulator/faults")["faults"] == {"drop-lines": 0.5}
    assert requests.get(emulator.url + "/emulator/faults", timeout=20).status_code == 401


def test_the_same_seed_strikes_the_same_requests(faulty):
    def hits(seed):
        emulator = faulty("rate-limit=0.5", seed=seed)
        return [emulator.http.get(emulator.url + "/apps", timeout=20).status_code for _ in range(30)]

    first = hits(1)
    assert {200, 429} == set(first)
    assert hits(1) == first
    assert hits(2) != first


def test_nothing_is_left_of_a_create_that_never_arrived(faulty):
    emulator = faulty("reset-before-create=1")
    for _ in range(20):
        with pytest.raises(requests.exceptions.ConnectionError):
            emulator.create("true")
    emulator.ask("PUT", "/emulator/faults", json={"faults": {}})
    emulator.run("true")
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [])


def test_the_number_of_spent_requests_is_reported_for_free(faulty):
    emulator = faulty()
    before = emulator.get("/emulator/requests")["spent"]
    emulator.get("/apps")
    emulator.get("/account/rate-limits")
    assert emulator.get("/emulator/requests") == {"spent": before + 1}


def test_an_upload_that_breaks_off_is_no_error_of_the_server(start, make_folder):
    emulator = start(make_folder(), "--fault", "cut-upload=1")
    url = emulator.ask("POST", "/sources", 201).json()["source_blob"]["put_url"]
    with pytest.raises(requests.ConnectionError):
        requests.put(url, data=b"x" * 200_000, timeout=20)
    assert requests.put(url, data=b"x" * 200_000, timeout=20).status_code == 200
