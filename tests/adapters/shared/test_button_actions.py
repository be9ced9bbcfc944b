"""Actions of buttons, once an adapter has decoded a press."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from adapters.shared.button_actions import ButtonAction, ButtonPress, PressOutcome, perform
from bot.access import Authorizer
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.ports import Admission, Core

GROUP = Address(SessionKey("slack", "T1", "C1"), "group")
ADMIN, MEMBER, STRANGER = (
    Speaker("U1", account="T1"),
    Speaker("U2", account="T1"),
    Speaker("U9", account="T1"),
)


class RecordingCore:
    """The part of the `Core` port that presses use, with the real authorizer."""

    def __init__(self, *, is_running: bool = True) -> None:
        self.access = Authorizer(
            ("slack:T1/U1", "slack:T1/U2"), ("slack:T1/U1",), admin_actions=("reset",)
        )
        self.is_running = is_running
        self.incoming: list[Incoming] = []
        self.dedupe: list[Sequence[str]] = []
        self.stopped: list[SessionKey] = []

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.access.allowed(address, speaker, action)

    async def enqueue(self, incoming: Incoming, *, dedupe: Sequence[str] = ()) -> Admission:
        self.incoming.append(incoming)
        self.dedupe.append(dedupe)
        return "queued"

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        self.stopped.append(session)
        return self.is_running


def press(action: ButtonAction, argument: str = "", speaker: Speaker = ADMIN) -> ButtonPress:
    return ButtonPress(action, argument, GROUP, speaker, "m1", "e1", ("d1",))


async def outcome(core: RecordingCore, pressed: ButtonPress) -> PressOutcome:
    return await perform(cast("Core", core), pressed)


@pytest.mark.parametrize(
    ("is_running", "expected"), [(True, "stopped"), (False, "nothing_to_stop")]
)
async def test_a_stop_button_stops_the_running_turn(*, is_running: bool, expected: str) -> None:
    core = RecordingCore(is_running=is_running)
    assert await outcome(core, press("stop", speaker=MEMBER)) == expected
    assert core.stopped == [GROUP.session]


async def test_a_rating_becomes_feedback_on_its_message() -> None:
    core = RecordingCore()
    assert await outcome(core, press("rate", "up", MEMBER)) == "rated"
    (incoming,) = core.incoming
    assert (incoming.kind, incoming.text, incoming.message_id) == ("feedback", "up", "m1")


async def test_a_command_waits_in_the_inbox_under_all_its_ids() -> None:
    core = RecordingCore()
    assert await outcome(core, press("command", "reset yes")) == "queued"
    (incoming,) = core.incoming
    assert (incoming.kind, incoming.text, incoming.event_id) == ("command", "reset yes", "e1")
    assert core.dedupe == [("d1",)]


@pytest.mark.parametrize("argument", ["", "  "])
async def test_a_declined_offer_does_nothing(argument: str) -> None:
    core = RecordingCore()
    assert await outcome(core, press("command", argument)) == "declined"
    assert not core.incoming


@pytest.mark.parametrize("argument", ["reset", "RESET yes", " reset"])
async def test_a_command_needs_the_right_to_it(argument: str) -> None:
    core = RecordingCore()
    assert await outcome(core, press("command", argument, MEMBER)) == "not_allowed"
    assert not core.incoming


@pytest.mark.parametrize(
    ("action", "argument"), [("stop", ""), ("rate", "up"), ("command", "reset"), ("command", "")]
)
async def test_a_stranger_can_do_nothing(action: ButtonAction, argument: str) -> None:
    core = RecordingCore()
    assert await outcome(core, press(action, argument, STRANGER)) == "not_listed"
    assert not core.incoming
    assert not core.stopped
