"""The methods of `Heroku` that inspect and change the app itself: dynos, logs, releases, config vars."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from heroku_magic.accounts.apps import describe_drains, unless_forbidden
from heroku_magic.accounts.config_vars import ask_for_value, check_name
from heroku_magic.api.log_stream import backlog
from heroku_magic.app.catalog import Catalog
from heroku_magic.app.connection import AppConnection
from heroku_magic.app.planner import Planner
from heroku_magic.deploy.archive import pack
from heroku_magic.deploy.checks import findings
from heroku_magic.deploy.commit import pack_commit, read_commit
from heroku_magic.deploy.deploy import Deploy
from heroku_magic.deploy.git_deploy import GitDeploy
from heroku_magic.errors import DeployRefused, Interrupted, InvalidOptions, NotFound
from heroku_magic.ledger.folder_hash import note_config_change
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.records import hide_keys
from heroku_magic.runs.command_mark import run_id
from heroku_magic.runs.options import as_list
from heroku_magic.runs.registry import running_runs
from heroku_magic.text.notifier import notifies_owner, notify
from heroku_magic.text.redact import Mask
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Self

    from heroku_magic.accounts.apps import Account
    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import App, Dyno, Release
    from heroku_magic.deploy.deploy import Deployed
    from heroku_magic.protocol.task import Task
    from heroku_magic.text.notifier import MessageCallback
    from heroku_magic.text.secret import Secret

S = TypeVar("S", bound="ManagedApp")


@notifies_owner
class ManagedApp(AppConnection):
    """An app that can be inspected and changed, besides running tasks."""

    def __init__(self, client: HerokuClient, app: str, settings: Settings, on_message: MessageCallback = print) -> None:
        super().__init__(client, app, settings, on_message)
        self._catalog = Catalog(self)
        self._planner = Planner(self, self._catalog)
        self._hidden: set[Secret] = set()  # secrets of runs, which logs() hides

    @classmethod
    def of_new_app(cls, account: Account, app: App, settings: Settings) -> Self:
        """Return a connection to an app that was just created."""
        chosen = replace(settings, app=app.name, app_source="create", worker=None, is_embedded=account.is_embedded)
        return cls(account.client, app.name, chosen, account.on_message)

    def task(self, name: str | None = None, *, any_type: bool = False) -> Task:
        """Return a task by name, or the one that runs by default, with its declared parameters."""
        return self._catalog.task(name, any_type=any_type)

    def tasks(self) -> list[Task]:
        """Return the app's tasks with their declared parameters; runs the process type `describe` if there is one."""
        return self._catalog.tasks()

    def known_tasks(self) -> list[Task]:
        """Return the tasks that are known already, without any request."""
        return self._catalog.known_tasks()

    def known_dynos(self) -> list[str]:
        """Return the names of the dynos whose runs this process follows, without any request."""
        return sorted(run.dyno for run in running_runs() if run.dyno and run.app == self.app_name)

    def dynos(self) -> list[Dyno]:
        """Return the app's current dynos, including those of other users.

        Raises
        ------
        ApiError
            If Heroku refuses the request or does not answer. All methods that send requests can raise it.
        """
        return self.client.dynos(self.app)

    def our_dynos(self) -> list[str]:
        """Return the names of the app's dynos that heroku_magic started."""
        return [dyno.name for dyno in self.dynos() if run_id(dyno.command)]

    def stop(self, dyno: str, *, any_dyno: bool = False) -> str:
        """Stop a dyno and return its name.

        Parameters
        ----------
        dyno
            The dyno's name (`run.1234`) or id, or the id of its run.
        any_dyno
            Also stop a dyno that heroku_magic did not start.

        Raises
        ------
        NotFound
            If the app has no such dyno.
        InvalidOptions
            If heroku_magic did not start it and `any_dyno` is False.
        """
        found = next((one for one in self.dynos() if dyno in {one.name, one.id, run_id(one.command)}), None)
        if found is None:
            raise NotFound(f"{dyno} is not running on {self.app_name}: `%heroku ps` lists the dynos.", status=404)
        if run_id(found.command) is None and not any_dyno:
            raise InvalidOptions(
                f"{found.name} was not started by heroku_magic (it runs `{found.command}`): --any stops it too."
            )
        self.client.stop_dyno(self.app, found.id)
        return found.name

    def logs(self, dyno: str) -> list[LogLine]:
        """Return the lines of a dyno that Heroku still holds, out of the app's last 1,500 log lines.

        Secrets of runs that this process started are hidden, and the keys of all runs.
        """
        mask = Mask(self._hidden)
        lines = backlog(self.client, self.app, dyno)
        return [line.with_message(hide_keys(mask.text(line.message))) for line in lines]

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> Self:
        """Create an app in the same account and return a connection to it. Nothing runs there before a deploy.

        Parameters
        ----------
        name
            Heroku chooses one if it is None.
        region, stack
            Such as `"eu"` and `"heroku-24"`; Heroku's defaults if None.
        """
        account = self.account
        return self.of_new_app(account, account.create(name, region=region, stack=stack), self.settings)

    @contextmanager
    def temporary_app(
        self,
        folder: str | os.PathLike[str] = "worker",
        *,
        region: str | None = None,
        stack: str | None = None,
        allow: Iterable[str] = (),
    ) -> Iterator[Self]:
        """Deploy a folder to a new app of the same account for the duration of a `with` block.

        The parameters are those of `create` and `deploy`.
        """
        account = self.account
        app = account.create_temporary(region=region, stack=stack)
        with deployed(self.of_new_app(account, app, self.settings), folder, allow) as heroku:
            yield heroku

    def deploy(
        self, folder: str | os.PathLike[str] = "worker", *, allow: Iterable[str] = (), git: bool = False
    ) -> Deployed:
        """Build a folder at Heroku, release it, and wait until that is done.

        A folder that the app already runs is not built again.

        Parameters
        ----------
        folder
            The worker folder.
        allow
            Paths in the folder that are sent although they look like secrets.
        git
            Push the folder's HEAD with `git push` instead of sending its files; of a folder inside a repository,
            its `git subtree split`.

        Returns
        -------
        Deployed
            The release, and what the build printed.

        Raises
        ------
        DeployRefused
            Before anything is sent, listing every problem of the folder.
        BuildFailed
            With the build's output; the previous release stays active.
        """
        deploy = self.start_deploy(folder, allow=allow, git=git)
        try:
            return deploy.result()
        except KeyboardInterrupt:
            raise Interrupted(deploy.give_up()) from None

    def start_deploy(
        self, folder: str | os.PathLike[str] = "worker", *, allow: Iterable[str] = (), git: bool = False
    ) -> Deploy:
        """Check and pack a folder and start to deploy it, as `deploy` does; `events()` of the result reports progress.

        Raises
        ------
        DeployRefused
            Before anything is sent, listing every problem of the folder.
        InvalidOptions
            `allow` is not a list of texts, or the app is a folder that the embedded Heroku serves.
        """
        if self.settings.app is None:
            served = shown(self.settings.worker or shipped_worker())
            raise InvalidOptions(
                f"The embedded Heroku serves {served} live: there is nothing to deploy. "
                "%heroku create makes an app to deploy to."
            )
        path, allow = expanded(folder).resolve(), as_list("allow", allow)
        commit = read_commit(path) if git else None
        archive = pack(path, allow=allow) if commit is None else pack_commit(commit, allow=allow)
        found = findings(archive.names, archive.texts)
        has_submodules = commit is not None and ".gitmodules" in archive.names  # a script may be in one of them
        if issues := [finding.text for finding in found if finding.is_certain and not has_submodules]:
            raise DeployRefused(issues)
        for warning in [*archive.warnings, *(finding.text for finding in found)]:
            notify(warning)
        self._catalog.invalidate()
        if commit is None:
            return Deploy(self.client, self.app, self.app_name, archive).start()
        for note in commit.notes:
            notify(note)
        return GitDeploy(self.client, self.app, self.app_name, archive, commit).start()

    def releases(self) -> list[Release]:
        """Return the app's releases, newest first."""
        return self.client.releases(self.app)

    def rollback(self, version: str | int) -> Release:
        """Release again the code and config vars of an earlier release.

        Parameters
        ----------
        version
            Such as 12 or `"v12"`.

        Raises
        ------
        InvalidOptions
            If there is no such release.
        """
        number = str(version).removeprefix("v")
        found = next((one for one in self.releases() if str(one.version) == number), None)
        if found is None:
            raise InvalidOptions(
                f"{self.app_name} has no release {clean_line(str(version)[:20])}: %heroku releases lists them."
            )
        self._catalog.invalidate()
        return self.client.rollback(self.app, found.id)

    def destroy(self, *, confirm: str) -> None:
        """Destroy the app and everything that belongs to it, permanently.

        Parameters
        ----------
        confirm
            The app's name.

        Raises
        ------
        InvalidOptions
            If `confirm` is not the app's name, or the app is a folder that the embedded Heroku serves.
        """
        if self.settings.app is None:
            raise InvalidOptions(
                "The embedded Heroku serves a folder of yours, which cannot be destroyed. It stops with this process."
            )
        self.account.destroy(self.app, confirm=confirm)

    def config(self) -> list[str]:
        """Return the names of the app's config vars, sorted; their values are never shown."""
        return sorted(self.client.config_vars(self.app))

    def set_config(self, name: str, value: Secret | None = None) -> None:
        """Set a config var; without a value, a hidden prompt asks for it.

        Heroku creates a release and restarts the dynos of the formation; one-off dynos are not affected.
        """
        check_name(name)
        self._change_config({name: value or ask_for_value(name)})

    def unset_config(self, *names: str) -> None:
        """Remove config vars, none if one of them does not exist. This creates a release, as `set_config` does."""
        if not names:
            raise InvalidOptions("Name the config var to remove: %heroku config --unset NAME")
        known = self.config()
        if unknown := [name for name in names if name not in known]:
            raise InvalidOptions(
                f"{self.app_name} has no config var {clean_line(', '.join(unknown)[:200])}. %heroku config lists them."
            )
        self._change_config(dict.fromkeys(names))

    def _change_config(self, values: Mapping[str, Secret | None]) -> None:
        changed = ", ".join(values)
        notify(f"Changing {changed} makes a release of {self.app_name} and restarts what its formation runs.")
        self.client.set_config_vars(self.app, values)
        if self.settings.worker:
            note_config_change(self.settings.worker)
        self._catalog.invalidate()
        self._planner.invalidate()

    def check(self) -> str:
        """Return the app's name after a request that finds it.

        Raises
        ------
        NotFound
            If the app does not exist or the account has no access to it; the message lists the account's apps.
        """
        try:
            return self.client.app(self.app).name
        except NotFound:
            raise self._catalog.unknown_app() from None

    def status(self) -> dict[str, str]:
        """Return facts about the app (release, our dynos, log drains) and the account, as text by title."""
        where = f"serving {shown(self.settings.worker)}" if self.settings.worker else f"from {self.settings.app_source}"
        return {
            "app": f"{self.app_name} ({where})",
            "release": unless_forbidden(self._version),
            "our dynos": self.describe_dynos() or "none",
            "log drains": unless_forbidden(lambda: describe_drains(self.client.log_drains(self.app))),
            **self.account.status(),
        }

    def describe_dynos(self) -> str:
        """Return the names and states of the dynos that heroku_magic started, as text; empty if there are none."""
        return ", ".join(f"{dyno.name} ({self._state_of(dyno)})" for dyno in self.dynos() if run_id(dyno.command))

    def _state_of(self, dyno: Dyno) -> str:
        return dyno.state

    def _version(self) -> str:
        release = self._catalog.release()
        return f"v{release.version}" if release else "none: nothing is deployed"


@contextmanager
def deployed(heroku: S, folder: str | os.PathLike[str], allow: Iterable[str]) -> Iterator[S]:
    """Deploy a folder to a temporary app, and destroy the app at the end of the `with` block in any case."""
    try:
        heroku.deploy(folder, allow=allow)
        yield heroku
    finally:
        heroku.account.discard(heroku.app)


def shown(folder: Path) -> str:
    """Return a folder as a user would write it."""
    if folder == shipped_worker():
        return "the shipped worker"
    try:
        return f"./{folder.relative_to(Path.cwd())}"
    except ValueError:
        return str(folder)
