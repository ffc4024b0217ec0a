"""What the embedded Heroku does not support: its lists are empty, and writing is refused by one sentence."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from emulators import platform_schema

LISTS = """
/account/app-transfers /account/credits /account/features /account/invoices /account/keys /addon-attachments
/addon-services /addons /apps/demo/addon-attachments /apps/demo/addons /apps/demo/log-drains /apps/demo/sni-endpoints
/apps/demo/telemetry-drains /apps/demo/webhook-deliveries /apps/demo/webhook-events /apps/demo/webhooks
/apps/demo/buildpack-installations /enterprise-accounts /oauth/clients /oauth/sessions /pipeline-couplings /pipelines
/spaces /teams /users/~/addons /users/~/pipeline-couplings
"""
FACTS = """
/account/delinquency /apps/demo/available-dyno-sizes /apps/demo/available-stacks /apps/demo/collaborators
/apps/demo/domains /apps/demo/features /apps/demo/usage /generations /regions /regions/eu /users/~ /generations/cedar
"""


@pytest.mark.parametrize("path", LISTS.split())
def test_lists_of_absent_resources_are_empty(demo, path):
    assert demo.get(path) == []
    assert demo.get(path, headers={"Range": "id ..; max=1000"}) == []


def test_the_deliveries_of_webhooks_are_sorted_by_their_number(demo):
    headers = {"Range": "seq ..; order=desc,max=1000"}
    assert demo.get("/apps/demo/webhook-deliveries", headers=headers) == []


@pytest.mark.parametrize("path", FACTS.split())
def test_plain_facts_are_answered(demo, path):
    assert demo.get(path)


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "/apps/demo/addons", "add-ons"),
        ("PATCH", "/apps/demo/addons/redis", "add-ons"),
        ("POST", "/apps/demo/collaborators", "collaborators"),
        ("POST", "/apps/demo/domains", "custom domains"),
        ("DELETE", "/apps/demo/domains/www.invalid", "custom domains"),
        ("POST", "/apps/demo/acm", "automated certificates"),
        ("POST", "/apps/demo/log-drains", "log drains"),
        ("PUT", "/spaces/mine/inbound-ruleset", "spaces"),
        ("POST", "/pipelines", "pipelines"),
        ("PATCH", "/pipelines/01234567-89ab-cdef-0123-456789abcdef/stage/test/config-vars", "pipelines"),
        ("PUT", "/teams/mine/members", "teams"),
        ("PATCH", "/account", "account changes"),
        ("POST", "/account/keys", "SSH keys"),
        ("POST", "/oauth/clients", "OAuth clients"),
        ("DELETE", "/apps/demo/build-cache", "build caches"),
        ("POST", "/test-runs", "test runs"),
        ("POST", "/apps/demo/dynos/web.1", "commands inside a running dyno"),
    ],
)
def test_writing_an_absent_resource_is_refused_in_one_sentence(demo, method, path, what):
    refused = demo.ask(method, path, 422, json={"name": "mine"}).json()
    assert refused == {"id": "invalid_params", "message": f"The embedded Heroku does not support {what}."}


def published_links():
    """Every link of Heroku's schema, with an app that exists and other resources that do not."""
    for definition in platform_schema()["definitions"].values():
        for link in definition.get("links", []):
            href = unquote(link["href"]).replace("{(#/definitions/app/definitions/identity)}", "demo")
            yield link["method"], re.sub(r"\{[^}]*\}", "01234567-89ab-cdef-0123-456789abcdef", href)


def test_no_published_link_is_refused_for_its_http_verb(demo):
    effective = {("DELETE", "/apps/demo"), ("DELETE", "/apps/demo/dynos"), ("POST", "/apps")}
    wrong = []
    for method, path in sorted(set(published_links()) - effective):
        answer = demo.http.request(method, demo.url + path, json={}, timeout=20)
        assert answer.status_code < 500, (method, path)
        if not answer.ok and "HTTP verb" in answer.json()["message"]:
            wrong.append((method, path))
    assert wrong == []


def test_what_is_absent_of_an_app_needs_the_app(demo):
    for method, path in (("GET", "addons"), ("GET", "domains"), ("POST", "addons"), ("GET", "features")):
        missing = demo.ask(method, f"/apps/nobodys/{path}", 404, json={}).json()
        assert missing["message"] == "Couldn't find that app."


@pytest.mark.parametrize("kind", ["addon", "addon_attachment"])
def test_a_search_for_an_add_on_finds_none(demo, kind):
    path = f"/actions/{kind.replace('_', '-')}s/resolve"
    assert demo.ask("POST", path, json={kind: "redis", "app": "demo"}).json() == []
    assert "Require params" in demo.ask("POST", path, 422, json={}).json()["message"]


def test_the_facts_of_an_app_are_those_of_the_app(demo):
    app = demo.get("/apps/demo")
    (domain,) = demo.get("/apps/demo/domains")
    assert app["web_url"].startswith(f"http://{domain['hostname']}:")
    assert demo.get(f"/apps/demo/domains/{domain['hostname']}") == domain
    (you,) = demo.get("/apps/demo/collaborators")
    assert demo.get(f"/apps/demo/collaborators/{you['user']['email']}") == you
    assert demo.ask("POST", "/filters/apps", json={"in": {"id": [app["id"]]}}).json() == [app]
    assert demo.ask("POST", "/filters/apps", json={"in": {"id": []}}).json() == []


def test_the_web_address_of_an_app_says_that_it_leads_nowhere(demo):
    host = f"demo.localhost:{demo.url.rpartition(':')[2]}"
    answer = demo.http.get(f"{demo.url}/", headers={"Host": host}, timeout=20)
    assert "routing of requests to web dynos" in answer.json()["message"]


def test_head_gives_the_headers_of_a_get(demo):
    head, get = (demo.ask(method, "/apps/demo") for method in ("HEAD", "GET"))
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "Etag"):
        assert head.headers[name] == get.headers[name]
    demo.ask("HEAD", "/apps/nobodys", 404)


def test_a_changed_resource_is_not_overwritten(faulty):
    heroku = faulty()
    app = heroku.ask("POST", "/apps", 201, json={}).json()["id"]
    path = f"/apps/{app}/config-vars"
    etag = heroku.ask("GET", path).headers["Etag"]
    heroku.ask("PATCH", path, json={"A": "1"}, headers={"If-Match": etag})
    stale = heroku.ask("PATCH", path, 412, json={"A": "2"}, headers={"If-Match": etag}).json()
    assert stale["id"] == "precondition_failed"
    assert heroku.get(path) == {"A": "1"}
    fresh = heroku.ask("GET", path).headers["Etag"]
    heroku.ask("PATCH", path, json={"A": "3"}, headers={"If-Match": f'"other", {fresh}'})
    heroku.ask("PATCH", path, json={"A": "4"}, headers={"If-Match": "*"})
    heroku.ask("GET", path, 412, headers={"If-Match": etag})
    heroku.ask("DELETE", f"/apps/{app}", headers={"If-Match": heroku.ask("GET", f"/apps/{app}").headers["Etag"]})


def test_a_precondition_on_a_missing_resource_is_a_404_with_its_id(demo):
    missing = demo.ask("PATCH", "/apps/nobodys/config-vars", 404, json={}, headers={"If-Match": '"other"'}).json()
    assert (missing["id"], missing["resource"]) == ("not_found", "app")
