"""Wiring of the dispatcher and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from adapters.slack.api.threads import ThreadLookup
from adapters.slack.app_home import AppHome
from adapters.slack.assistant import Assistant
from adapters.slack.inbound.automated import AutomatedMessages
from adapters.slack.inbound.dispatcher import Dispatcher
from adapters.slack.inbound.interactions import Interactions
from adapters.slack.inbound.messages import NAMES_WAIT_S, MessageEnqueuer, Notify
from adapters.slack.inbound.reactions import Reactions

if TYPE_CHECKING:
    from adapters.slack.api.places import PlaceDirectory
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspaces
    from adapters.slack.inbound.events import AppUninstalled
    from adapters.slack.settings import SlackSettings
    from bot.background import BackgroundTasks
    from bot.ports import Core


def build_dispatcher(
    core: Core,
    settings: SlackSettings,
    workspaces: Workspaces,
    users: UserDirectory,
    places: PlaceDirectory,
    background: BackgroundTasks,
    *,
    notify: Notify,
    on_uninstalled: Callable[[AppUninstalled], Awaitable[None]],
    names_wait_s: float = NAMES_WAIT_S,
) -> Dispatcher:
    """The dispatcher of a connection. `names_wait_s`: see `NAMES_WAIT_S`."""
    home = AppHome(core, workspaces, users)
    assistant = Assistant(workspaces)
    return Dispatcher(
        messages=MessageEnqueuer(
            core,
            settings.slack_mentions_only,
            workspaces,
            users,
            assistant,
            background,
            notify,
            places,
            AutomatedMessages(core.key_values),
            settings.slack_answer_apps,
            names_wait_s,
        ),
        reactions=Reactions(core, users, ThreadLookup(workspaces), names_wait_s),
        interactions=Interactions(core, users, home, background, notify, names_wait_s),
        home=home,
        assistant=assistant,
        background=background,
        on_uninstalled=on_uninstalled,
    )
