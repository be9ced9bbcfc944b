"""Authorizer: rights by person and place in one table, and a platform that cannot be asked."""

from __future__ import annotations

from collections import Counter

import pytest

from bot.access import Authorizer
from bot.commands import BUILTIN, Registry
from bot.conversation import Address, PlaceKind, SessionKey, Speaker
from bot.errors import PlatformUnreachable


def place(platform: str, account: str, name: str, kind: PlaceKind) -> Address:
    return Address(SessionKey(platform, account, name), kind)


CONSOLE = place("console", "local", "main", "private")
DM = place("slack", "T1", "D1", "private")
CHANNEL = place("slack", "T1", "C1", "channel")
LISTED_CHANNEL = place("slack", "T1", "C9", "channel")
PRIVATE = place("telegram", "777", "42", "private")
STRANGE_PRIVATE = place("telegram", "777", "66", "private")
GROUP = place("telegram", "777", "-100123", "group")
OTHER_GROUP = place("telegram", "777", "-100666", "group")
DIRECT = Address(SessionKey("telegram", "777", "-100123", "direct-66"), "private")
OTHER_DIRECT = Address(SessionKey("telegram", "777", "-100666", "direct-66"), "private")

SHELL = Speaker("me")
MEMBER = Speaker("U1", "Ada", "T1")
GUEST = Speaker("U9", "Eve", "T2")
LISTED_GUEST = Speaker("U8", "Bob", "T2")
SLACK_ADMIN = Speaker("U5", "Root", "T1")
LISTED_ADMIN = Speaker("U6", "Op", "T1")
GUEST_ADMIN = Speaker("U7", "Boss", "T3")
PERSON = Speaker("42")
STRANGER = Speaker("66")
TELEGRAM_ADMIN = Speaker("43")

ALLOW = ("slack:T2/U8", "slack:T3", "slack:T1/C9", "telegram:42", "telegram:-100123", "slack:T1")
ADMINS = ("slack:T1/U6", "telegram:42")


async def platform_knows(address: Address, speaker: Speaker) -> bool:
    """As the platforms would say: also of people who are admins where they come from."""
    return speaker.id in ("U5", "U7", "43")


def authorizer(allow: tuple[str, ...] = ALLOW) -> Authorizer:
    checks = {"slack": platform_knows, "telegram": platform_knows}
    return Authorizer(allow, ADMINS, True, checks, Registry(BUILTIN).admin_actions, {"console"})


OPEN = ("talk", "help", "status", "whoami", "stop", "retry", "export", "leave")
GUARDED = ("new", "reset", "clear", "undo")
NOTHING, TALK, ALL = ("", "open", "all")


TABLE: list[tuple[str, Speaker, Address, str]] = [
    ("whoever has a shell", SHELL, CONSOLE, ALL),
    ("a member in a direct message", MEMBER, DM, ALL),
    ("a member in a channel", MEMBER, CHANNEL, TALK),
    ("a guest in a direct message", GUEST, DM, NOTHING),
    ("a guest in a channel", GUEST, CHANNEL, NOTHING),
    ("a guest in a listed channel", GUEST, LISTED_CHANNEL, TALK),
    ("a listed guest in a channel", LISTED_GUEST, CHANNEL, TALK),
    ("an admin of the workspace", SLACK_ADMIN, CHANNEL, ALL),
    ("a listed admin", LISTED_ADMIN, CHANNEL, ALL),
    ("an admin of another, listed workspace", GUEST_ADMIN, CHANNEL, TALK),
    ("a listed person in private", PERSON, PRIVATE, ALL),
    ("a stranger in private", STRANGER, STRANGE_PRIVATE, NOTHING),
    ("anybody in a listed group", STRANGER, GROUP, TALK),
    ("an administrator of a listed group", TELEGRAM_ADMIN, GROUP, ALL),
    ("a listed admin in a listed group", PERSON, GROUP, ALL),
    ("a listed person in another group", PERSON, OTHER_GROUP, NOTHING),
    ("anybody's own talk within a listed place", STRANGER, DIRECT, ALL),
    ("a stranger's own talk within another place", STRANGER, OTHER_DIRECT, NOTHING),
    ("a listed person's own talk within another place", PERSON, OTHER_DIRECT, ALL),
    ("an administrator of another group", TELEGRAM_ADMIN, OTHER_GROUP, NOTHING),
]


@pytest.mark.parametrize("action", OPEN + GUARDED)
@pytest.mark.parametrize(("who", "speaker", "address", "may"), TABLE, ids=[row[0] for row in TABLE])
async def test_rights_follow_who_it_is_and_whom_it_concerns(
    who: str, speaker: Speaker, address: Address, may: str, action: str
) -> None:
    allow = (
        tuple(pattern for pattern in ALLOW if pattern != "slack:T1/C9")
        if address is CHANNEL
        else ALLOW
    )
    expected = may == ALL or (may == TALK and action in OPEN)
    assert await authorizer(allow).allowed(address, speaker, action) is expected


def test_every_command_is_in_the_table() -> None:
    names = {name for spec in BUILTIN for name in spec.names}
    assert names - {"again", "cancel"} <= set(OPEN + GUARDED)
    assert set(Registry(BUILTIN).admin_actions) == set(GUARDED)


async def test_a_person_of_telegram_is_admitted_only_if_listed() -> None:
    nobody = authorizer(())
    assert not await nobody.allowed(PRIVATE, PERSON)
    assert not await nobody.allowed(GROUP, PERSON)
    everybody = authorizer(("telegram:*",))
    assert await everybody.allowed(STRANGE_PRIVATE, STRANGER)
    assert not await everybody.allowed(CHANNEL, GUEST)


async def test_members_are_admitted_unless_their_workspace_is_narrowed_down() -> None:
    assert await authorizer(()).allowed(CHANNEL, MEMBER)
    narrowed = authorizer(("slack:T1/U5",))
    assert await narrowed.allowed(CHANNEL, SLACK_ADMIN)
    assert not await narrowed.allowed(CHANNEL, MEMBER)
    elsewhere = authorizer(("slack:T2/U8",))
    assert await elsewhere.allowed(CHANNEL, MEMBER)


async def test_a_speaker_without_an_account_is_a_guest() -> None:
    assert not await authorizer(()).allowed(CHANNEL, Speaker("U1"))


async def test_a_pattern_of_one_platform_says_nothing_of_another() -> None:
    wrong = authorizer(("slack:42", "slack:-100123"))
    assert not await wrong.allowed(PRIVATE, PERSON)
    assert not await wrong.allowed(GROUP, PERSON)


async def test_a_listed_admin_who_is_not_let_in_may_do_nothing() -> None:
    assert not await authorizer(()).allowed(PRIVATE, PERSON, "reset")


async def test_the_platforms_own_admins_count_only_if_settings_say_so() -> None:
    without = Authorizer(
        ALLOW, ADMINS, False, {"slack": platform_knows}, Registry(BUILTIN).admin_actions
    )
    assert not await without.allowed(CHANNEL, SLACK_ADMIN, "reset")
    assert await without.allowed(CHANNEL, LISTED_ADMIN, "reset")


async def test_a_platform_that_cannot_be_asked_makes_nobody_an_admin_and_is_asked_again() -> None:
    asked = 0

    async def unsteady(address: Address, speaker: Speaker) -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise PlatformUnreachable("gone")
        return True

    rights = Authorizer((), (), True, {"slack": unsteady}, ("reset",))
    assert not await rights.allowed(CHANNEL, MEMBER, "reset")
    assert await rights.allowed(CHANNEL, MEMBER, "reset")


async def test_the_platform_is_asked_once_per_lifetime_for_each_person_and_place() -> None:
    asked: list[tuple[str, str]] = []

    async def check(address: Address, speaker: Speaker) -> bool:
        asked.append((address.session.place, speaker.id))
        return speaker.id == "U5"

    rights = Authorizer((), (), True, {"slack": check}, ("reset",))
    for _ in range(3):
        assert await rights.allowed(CHANNEL, SLACK_ADMIN, "reset")
        assert not await rights.allowed(CHANNEL, MEMBER, "reset")
        assert await rights.allowed(LISTED_CHANNEL, SLACK_ADMIN, "reset")
        assert await rights.allowed(CHANNEL, MEMBER, "talk")
    assert sorted(asked) == [("C1", "U1"), ("C1", "U5"), ("C9", "U5")]
    rights = Authorizer((), (), True, {"slack": check}, ("reset",), admin_cache_s=0)
    asked.clear()
    for _ in range(3):
        assert await rights.allowed(CHANNEL, SLACK_ADMIN, "reset")
    assert len(asked) == 3


async def test_the_cache_of_the_platforms_answers_is_bounded() -> None:
    asked: Counter[str] = Counter()

    async def check(address: Address, speaker: Speaker) -> bool:
        asked[speaker.id] += 1
        return False

    rights = Authorizer((), (), True, {"slack": check}, ("reset",), max_cached=10)
    for number in (*range(11), 10, 0):
        await rights.is_admin(CHANNEL, Speaker(f"U{number}", "", "T1"))
    assert asked["U10"] == 1
    assert asked["U0"] == 2, "it had to make room"
