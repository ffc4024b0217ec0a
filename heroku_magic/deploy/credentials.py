"""Recognizes files that hold secrets, by their usual names and by the shapes of tokens.

detect-secrets finds most shapes; the shapes that it lacks are here.
https://github.com/Yelp/detect-secrets
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from heroku_magic.deploy.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detect_secrets.plugins.base import RegexBasedDetector
    from pathspec import GitIgnoreSpec

_SEARCHED = 1_000_000  # bytes of a file that detect-secrets searches; our own shapes are searched to the end

# As in a .gitignore, in lower case.
_NAMES = """
.env .env.* *.env .envrc
*.key *.p8 *.p12 *.pfx *.ppk *.jks *.bcfks *.keystore *.keytab *.kdb *.kdbx *.ovpn *.tblk/ *.keychain *.keychain-db
key.pem *[-_.]key.pem privkey*.pem private*.pem id_rsa* id_dsa* id_ecdsa* id_ed25519* *_rsa *_dsa *_ecdsa *_ed25519
ssh_host_*_key .ssh/ .gnupg/ secring.gpg *.agilekeychain/ *.opvault/ wg[0-9]*.conf .env~ *.env~ .renviron .passwd-s3fs
.ftpconfig ftpconfig sftp-config.json filezilla.xml recentservers.xml sitemanager.xml .remote-sync.json rclone.conf
.rclone.conf robomongo.json .muttrc .authinfo .authinfo.gpg .netrc.gpg jupyter_cookie_secret kernel-*.json
.netrc _netrc .git-credentials .npmrc .pypirc .pgpass pgpass.conf .my.cnf .mylogin.cnf .htpasswd .s3cfg .boto .dockercfg
docker-config.json .dockerconfigjson .m2/settings.xml settings-security.xml accesstokens.json msal_token_cache.*
.vault-token .vault[-_]pass* vault[-_]pass* .terraformrc terraform.rc *.tfstate *.tfstate.backup *.tfvars *.tfvars.json
.databricks-connect .databrickscfg
.aws/ .azure/ .kube/ .snowsql/ .dbt/ .kaggle/ .huggingface/ **/.config/gcloud/ **/.config/gh/ **/.cache/huggingface/
**/.config/doctl/ **/.config/op/ **/.config/rclone/ **/.config/netlify/ .fly/ .tugboat
kubeconfig *.kubeconfig **/.docker/config.json **/.config/hub **/.cargo/credentials* **/.gem/credentials
**/.composer/auth.json kaggle.json local.settings.json accesskeys.csv rootkey.csv wallet.dat .*_history history.sqlite
credentials credentials.* credentials[-_]*.json *[-_.]credentials.json application_default_credentials.json
client_secret*.json service[-_]account*.json *[-_]service[-_]account*.json *serviceaccount*.json
*firebase-adminsdk*.json secret.* secrets.* .secrets .secrets.*
!*.pub !*.py !*.ipynb !*.md !*.rst !*.html !*.js !*.ts !*.baseline
!*.example !*.sample !*.template !*.dist !*.example.* !*.sample.* !*.template.* !example.* !sample.*
"""
_UNCERTAIN_NAMES = """
env.sh *.env.* .flaskenv token token.* tokens.* *[-_]token *[-_]token.* apikey* *api[-_]key* *deploy_key *key.json
*keyfile.json *[-_]key.txt password password.* passwords.* auth.json .netlify/ profiles.yml my.cnf *pg_service.conf
wp-config.php .gitconfig .bashrc .zshrc .profile .bash_profile .zprofile jupyter_*config.json
!*.pub !*.py !*.ipynb !*.md !*.rst !*.html !*.js !*.ts !*.example !*.sample !*.template !*.dist !*.example.* !*.sample.*
"""

# Heroku's tokens were UUIDs until 2024, so only the name beside one tells. The middle of a UUID is quick to find.
_MIDDLE = re.compile(rb"-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-")
_NAMED_UUID = re.compile(
    rb"(?i)(?<![\w-])(?:[\w.-]{0,30}(?:api|auth|access|secret|heroku)[\w.-]{0,20})?(?:key|token|secret|password)"
    rb"[\"']?\s{0,5}[:=]\s{0,5}[\"']?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![\w-])"
)

# A literal that each match contains, which is quick to find, and the shape.
_SHAPES = (
    (b"PRIVATE KEY", rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY( BLOCK)?-----(?![\"'`])"),
    (b"LS0tLS1CRUdJTi", rb"LS0tLS1CRUdJTi[\w+/]{0,20}(?:UFJJVkFUR|QUklWQVRF|BSSVZBVE)"),  # the same in Base64
    (b"PuTTY-User-Key-File-", rb"PuTTY-User-Key-File-\d"),
    (b"client-key-data", rb"client-key-data: ?[\w+/=]{40}"),  # of a kubeconfig
    (b"PrivateKey", rb"PrivateKey ?= ?[\w+/]{43}="),  # of WireGuard
    (b"AGE-SECRET-KEY-", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    (b"HRKU-", rb"HRKU-[\w-]{30}"),
    (b"AIza", rb"AIza[\w-]{35}(?![\w-])"),
    (b"GOCSPX-", rb"GOCSPX-[\w-]{28}"),
    (b"ya29.", rb"(?<!\w)ya29\.[\w-]{60}"),
    (b"github_pat_", rb"github_pat_\w{22}"),
    (b"aws_secret_access_key", rb"aws_secret_access_key[\"']?\s{0,5}[:=]\s{0,5}[\"']?[\w/+]{40}(?![\w/+])"),
    (b"hf_", rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{34}(?!\w)"),
    (b"dapi", rb"(?<!\w)dapi[0-9a-f]{32}(?!\w)"),
    (b"_v1_", rb"(?<!\w)do[opr]_v1_[0-9a-f]{64}"),
    (b"sk-", rb"sk-(?:(?<![\w-]sk-)|(?<=\\nsk-))(?:[0-9A-Za-z]{32}|(?:proj|svcacct|admin|or-v1)-[\w-]*\w{20})"),
    (b"sk-ant-", rb"sk-ant-\w{3,12}-[\w-]{40}"),
    (b"sk.eyJ", rb"(?<!\w)sk\.eyJ[\w-]{20,}\.[\w-]{20}"),  # of Mapbox
    (b"FlyV1", rb"FlyV1 fm\d_\w{20}"),
    (b"api/webhooks/", rb"discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60}"),
    (b".atlasv1.", rb"\.atlasv1\.[\w-]{60}"),
    (b"pat", rb"(?<![\w-])pat[0-9A-Za-z]{14}\.[0-9a-f]{64}"),  # of Airtable
)
# Tokens with a prefix of their issuer: what they consist of, and how much of it there is at least, with a digit.
_PREFIXED = {
    b"[0-9A-Za-z]": """ATBB:32 NRAK-:27 gsk_:52 lin_api_:40 npm_:36 ntn_:43 pplx-:48 pul-:40 r8_:37 rubygems_:48
        sbp_:40 secret_:43 shpat_:32 shpca_:32 shppa_:32 shpss_:32 xai-:80 dp.pt.:40 dp.st.:40 glsa_:32""",
    rb"[\w=+/.-]": """ATATT3xFfGF0:100 dckr_pat_:27 figd_:40 whsec_:32 sntrys_:60 hvs.:80 hvb.:80 pscale_tkn_:32
        pscale_pw_:32 xapp-:40 sl.:100""",
}

# Detectors of detect-secrets whose shapes belong to one issuer, and detectors that also match other texts.
_CERTAIN = (
    ("aws", "AWSKeyDetector"),
    ("azure_storage_key", "AzureStorageKeyDetector"),
    ("github_token", "GitHubTokenDetector"),
    ("gitlab_token", "GitLabTokenDetector"),
    ("jwt", "JwtTokenDetector"),
    ("npm", "NpmDetector"),
    ("openai", "OpenAIDetector"),
    ("pypi_token", "PypiTokenDetector"),
    ("sendgrid", "SendGridDetector"),
    ("slack", "SlackDetector"),
    ("square_oauth", "SquareOAuthDetector"),
    ("stripe", "StripeDetector"),
)
_UNCERTAIN = (
    ("basic_auth", "BasicAuthDetector"),
    ("discord", "DiscordBotTokenDetector"),
    ("mailchimp", "MailchimpDetector"),
    ("telegram_token", "TelegramBotTokenDetector"),
    ("twilio", "TwilioKeyDetector"),
)


def secret_in(path: str, content: bytes) -> Finding | None:
    """Return why a file looks like a secret, as the end of a sentence about it; None if it does not."""
    if _patterns(_NAMES).match_file(path.lower()):
        return Finding("holds secrets, judging by its name")
    # Without its zeros, UTF-16 looks like ASCII.
    texts = [content, content.replace(b"\0", b"")] if b"\0" in content[:1000] else [content]
    if found := next((found for text in texts for found in _secrets_in(text)), None):
        return found
    is_odd = _patterns(_UNCERTAIN_NAMES).match_file(path.lower())
    return Finding("may hold secrets, judging by its name", is_certain=False) if is_odd else None


def _secrets_in(content: bytes) -> Iterator[Finding]:
    for literal, shape in _SHAPES:
        if literal in content and re.search(shape, content):
            key = "a private key" if shape is _SHAPES[0][1] else "what looks like a token"
            yield Finding(f"holds {key}")
    if any(prefix in content and shape.search(content) for prefix, shape in _prefixed().items()):
        yield Finding("holds what looks like a token")
    around = (content[max(0, match.start() - 100) : match.end() + 20] for match in _MIDDLE.finditer(content))
    if any(map(_NAMED_UUID.search, around)):
        yield Finding("holds what looks like a token")
    text = content[:_SEARCHED].decode("utf-8", "replace")
    for detectors, is_certain in ((_CERTAIN, True), (_UNCERTAIN, False)):
        if any(next(detector.analyze_string(text), None) for detector in _loaded(detectors)):
            yield Finding("holds what looks like a token" if is_certain else "may hold a token", is_certain)


@cache
def _prefixed() -> dict[bytes, re.Pattern[bytes]]:
    """Return the shape of each token with a prefix."""
    tokens = ((kind, *one.encode().split(b":")) for kind, listed in _PREFIXED.items() for one in listed.split())
    return {
        prefix: re.compile(rb"(?<![\w.-])%s(?=\D{0,31}\d)%s{%s}" % (re.escape(prefix), kind, length))
        for kind, prefix, length in tokens
    }


@cache
def _patterns(names: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(names.split())


@cache
def _loaded(detectors: tuple[tuple[str, str], ...]) -> list[RegexBasedDetector]:
    from importlib import import_module

    return [getattr(import_module(f"detect_secrets.plugins.{module}"), name)() for module, name in detectors]
