"""What people can tell the bot to do: each command through the registry, in private and among others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from bot.commands import BUILTIN, Call, Registry
from bot.conversation import Incoming, PlaceKind, SessionKey, Speaker, Turn
from bot.ports import FoldState, TurnWrite
from bot.service.direct_core import DirectCore
from bot.settings import Settings
from bot.turns.request import Request
from bot.wiring import open_components
from tests.fakes.model_server import ModelServer, fail, say, truncated
from tests.support.handler_harness import RecordingReply
from tests.support.messages import make_message
from tests.support.service_harness import service_settings

COMMANDS = Registry(BUILTIN)
PRIVATE, SHARED = SessionKey("loop", "A1", "ada"), SessionKey("loop", "A1", "room")
CORA = Speaker("UADMIN", "Cora", "A1")


@dataclass
class Room:
    """A place where one person or several talk with the bot."""

    core: DirectCore
    model: ModelServer
    session: SessionKey
    kind: PlaceKind
    number: int = 0

    def message(self, text: str, speaker: Speaker | None = None) -> Incoming:
        self.number += 1
        message = make_message(text, self.session, self.kind, message_id=str(self.number))
        return replace(message, speaker=speaker) if speaker else message

    async def ask(self, text: str, speaker: Speaker | None = None) -> Turn:
        turn = Turn(f"t-{text}", (self.message(text, speaker),))
        return await self.core.services.handler.handle(Request(turn), RecordingReply())

    async def remember(self, text: str) -> None:
        """As if `text` had been asked and answered, without asking a model."""
        past = await self.core.services.history.read(self.session)
        turn = Turn(f"t-{text}", (self.message(text),), generation=past.generation)
        await self.core.services.history.append(
            TurnWrite(turn.ended("complete", "an answer"), tokens=9)
        )

    async def overhear(self, text: str) -> None:
        await self.core.services.handler.overhear(Turn(f"o-{text}", (self.message(text),)))

    async def tell(
        self, text: str, speaker: Speaker | None = None, call_id: str = ""
    ) -> RecordingReply:
        """Use a command."""
        reply = RecordingReply()
        await COMMANDS.run(Call(self.core.services, self.message(text, speaker), reply, id=call_id))
        return reply

    async def word(self, text: str, speaker: Speaker | None = None) -> str:
        """All it said to a command."""
        return "\n".join((await self.tell(text, speaker)).texts("post"))

    async def questions(self) -> list[str]:
        return [
            turn.incoming[0].text async for turn in self.core.services.sessions.turns(self.session)
        ]

    def asked(self) -> str:
        return str([message["content"] for message in self.model.requests[-1].messages])


@pytest.fixture
async def private(settings: Settings) -> AsyncIterator[Room]:
    async with ModelServer() as model, open_components(service_settings(settings, model)) as bot:
        bot.access.ask_platform("loop", _is_admin)
        yield Room(DirectCore(bot), model, PRIVATE, "private")


@pytest.fixture
def shared(private: Room) -> Room:
    return Room(private.core, private.model, SHARED, "group")


async def _is_admin(_: object, speaker: Speaker) -> bool:
    return speaker == CORA


async def test_reset_forgets_for_good_and_says_how_much(private: Room) -> None:
    assert await private.word("reset") == "There was nothing to forget."
    await private.ask("my name is Ada")
    assert await private.word("reset") == "Forgotten: 1 turn."
    await private.ask("one")
    await private.ask("two")
    assert await private.word("CLEAR") == "Forgotten: 2 turns."
    await private.ask("what is my name?")
    assert "Ada" not in private.asked()
    assert (await private.core.services.sessions.export(PRIVATE))["earlier"] == {}


async def test_new_begins_anew_and_keeps_the_old_for_export(private: Room) -> None:
    assert await private.word("new") == "A new conversation."
    await private.ask("my name is Ada")
    assert "no longer think of the earlier one" in await private.word("new")
    await private.ask("hello again")
    assert "Ada" not in private.asked()
    (_, content), = (await private.tell("export")).files  # fmt: skip
    text = content.decode()
    assert text.index("my name is Ada") < text.index("# Conversation of") < text.index("hello")


async def test_undo_forgets_the_latest_question_and_not_what_others_said_since(
    shared: Room,
) -> None:
    await shared.remember("first question")
    await shared.remember("second\nquestion")
    await shared.overhear("I am off to lunch")
    assert await shared.word("undo", CORA) == "Forgotten: “second” and its answer."
    assert await shared.questions() == ["first question", "I am off to lunch"]
    await shared.ask("and now?")
    assert "second" not in shared.asked()


async def test_undo_asked_twice_by_a_repetition_forgets_once(private: Room) -> None:
    await private.remember("one")
    await private.remember("x" * 100)
    (word,) = (await private.tell("undo", call_id="c1")).texts("post")
    assert word == f"Forgotten: “{'x' * 59}…” and its answer."
    await private.tell("undo", call_id="c1")
    assert await private.questions() == ["one"]
    assert await private.word("undo") == "Forgotten: “one” and its answer."
    assert await private.word("undo") == "There is nothing to undo."


async def test_retry_answers_the_latest_question_again_in_its_place(private: Room) -> None:
    assert await private.word("retry") == "There is no question to answer again."
    await private.ask("hello")
    await private.overhear("not for you")
    private.model.script = [say("a better answer")]
    reply = await private.tell("again", call_id="c1")
    assert reply.texts("finish") == ["a better answer"]
    past = await private.core.services.history.read(PRIVATE)
    assert [item.turn.answer for item in past.window] == ["a better answer", ""]
    reply = await private.tell("again", call_id="c1")
    assert reply.texts("finish") == [], "the same call once more: it was answered"
    assert len(private.model.requests) == 2


async def test_retry_after_a_failure_makes_good_and_a_failed_retry_changes_nothing(
    private: Room,
) -> None:
    private.model.script = [truncated("half"), fail(401), say("whole")]
    await private.ask("hello")
    assert (await private.tell("retry")).texts("fail")
    assert (await private.tell("retry")).texts("finish") == ["whole"]
    past = await private.core.services.history.read(PRIVATE)
    assert [(item.turn.state, item.turn.answer) for item in past.window] == [("complete", "whole")]


async def test_status_tells_what_is_remembered_and_until_when(private: Room) -> None:
    assert "Remembered: **0** turns" in await private.word("status")
    assert await private.core.services.sessions.list() == [], "looking begins nothing"
    await private.ask("hello")
    text = await private.word("status")
    info = await private.core.services.sessions.get(PRIVATE)
    assert info
    assert "Remembered: **1** turn, the newest 1 of them word for word" in text
    assert "Model: gpt-5-mini" in text
    assert f"`{info.conversation_id}`" in text
    assert "summary" not in text


async def test_status_says_that_old_turns_could_not_be_summarised(private: Room) -> None:
    """M7: a word in `status`."""
    history = private.core.services.history
    for text in ("my name is Ada", "I like tea"):
        await private.ask(text)
    past = await history.read(PRIVATE)
    await history.fold(past, PRIVATE, summary="", to=1)
    waiting = FoldState("user: my name is Ada", 1, failures=2)
    assert "could not be summarised" not in await private.word("status")
    past = replace(await history.read(PRIVATE), summarised_to=1)
    await history.fold(past, PRIVATE, summary="", to=0, state=waiting)
    assert "could not be summarised yet" in await private.word("status")


async def test_export_gives_a_file_for_people_and_one_for_programs(private: Room) -> None:
    assert await private.word("export") == "There is nothing to export yet."
    private.model.script = [say("hello **Ada**"), truncated("half")]
    await private.ask("my name is Ada")
    await private.ask("more")
    (name, content), = (await private.tell("export")).files  # fmt: skip
    assert name.startswith("conversation-")
    assert name.endswith(".md")
    *_, first, second = content.decode().split("**Ada:** ")
    assert first == "my name is Ada\n\n**Bot:** hello **Ada**\n\n"
    assert second == "more\n\n**Bot (failed):** half\n"
    (name, content), = (await private.tell("export  json")).files  # fmt: skip
    assert name.endswith(".json")
    assert [turn["answer"] for turn in json.loads(content)["turns"]] == ["hello **Ada**", "half"]
    assert "export json" in await private.word("export pdf")


async def test_export_of_a_shared_conversation_names_each_speaker_once(shared: Room) -> None:
    await shared.ask("hello")
    await shared.ask("good day", CORA)
    (_, content), = (await shared.tell("export")).files  # fmt: skip
    text = content.decode()
    assert "\nAda: hello\n" in text
    assert "\nCora: good day\n" in text
    assert text.count("Cora") == 2, "once in what she said, once in what was answered"


async def test_a_member_exports_nothing_of_what_was_said_before_they_came(shared: Room) -> None:
    """L7: neither turns, nor earlier conversations, nor the summary; admins export all."""
    await shared.ask("the code is 4242")
    await shared.tell("new", CORA)
    await shared.ask("the key is under the mat")
    newcomer = replace(CORA, id="newcomer", name="Newcomer")
    for form in ("export", "export json"):
        assert "since you first wrote" in await shared.word(form, newcomer)
    await shared.ask("hello all", newcomer)
    for form in ("export", "export json"):
        (_, content), = (await shared.tell(form, newcomer)).files  # fmt: skip
        assert "hello all" in content.decode()
        assert "4242" not in content.decode()
        assert "mat" not in content.decode()
        (_, content), = (await shared.tell(form, CORA)).files  # fmt: skip
        assert "4242" in content.decode()
        assert "mat" in content.decode()


async def test_leave_ends_taking_part_until_the_next_question(shared: Room) -> None:
    sessions = shared.core.services.sessions
    await shared.remember("hello")
    assert await sessions.takes_part(SHARED)
    assert "quiet" in await shared.word("leave")
    assert not await sessions.takes_part(SHARED)
    await shared.remember("are you there?")
    assert await sessions.takes_part(SHARED)


async def test_whoami_shows_the_pattern_that_settings_take(shared: Room) -> None:
    text = await shared.word("whoami")
    assert "**Ada**, `loop:A1/U1`, no admin here" in text
    assert f"`{SHARED}`" in text
    assert "`loop:A1/UADMIN`, an admin here" in await shared.word("whoami", CORA)


async def test_stop_says_so_when_nothing_runs(private: Room) -> None:
    assert await private.word("stop") == "There is nothing to stop."
    assert await private.word("cancel") == "There is nothing to stop."


async def test_help_lists_each_command_with_its_summary(private: Room) -> None:
    lines = (await private.word("help")).splitlines()
    assert len(lines) == len(BUILTIN)
    for line, spec in zip(lines, BUILTIN, strict=True):
        assert line.startswith(f"- `{spec.name}`")
        assert spec.summary in line
        assert spec.summary.endswith((".", ")."))
        assert all(f"`{alias}`" in line for alias in spec.aliases)


async def test_help_marks_commands_for_admins_only_in_shared_places(
    private: Room, shared: Room
) -> None:
    assert "admins" not in await private.word("help")
    marked = [line for line in (await shared.word("help")).splitlines() if "admins" in line]
    names = [line.split("`")[1] for line in marked]
    assert set(names) | {"clear"} == set(COMMANDS.admin_actions)


@pytest.mark.parametrize("command", sorted(COMMANDS.admin_actions))
async def test_a_command_for_admins_is_refused_to_others_with_a_sentence(
    shared: Room, command: str
) -> None:
    await shared.remember("hello")
    text = await shared.word(command)
    assert "is for admins here" in text
    assert await shared.questions() == ["hello"]
    await shared.tell(command, CORA)
    assert await shared.questions() == []


async def test_a_stranger_is_refused_every_command(shared: Room) -> None:
    await shared.remember("hello")
    assert "not on the list" in await shared.word("reset", Speaker("U9", "Eve", "T9"))
    assert "not on the list" in await shared.word("help", Speaker("U9", "Eve", "T9"))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rest", "Did you mean “reset”?"),
        ("STATSU", "Did you mean “status”?"),
        ("sing", "“help” lists them all."),
        ("", "“help” lists them all."),
    ],
)
async def test_an_unknown_command_is_answered_with_the_nearest_one(
    private: Room, text: str, hint: str
) -> None:
    await private.remember("hello")
    word = await private.word(text)
    assert f"I know no command “{text}”." in word
    assert hint in word
    assert await private.questions() == ["hello"]


@pytest.mark.parametrize("text", [" reset", "reset\nplease", "Reset\tnow", "reset   "])
async def test_a_commands_name_ends_at_a_blank_of_any_kind(private: Room, text: str) -> None:
    await private.remember("hello")
    assert await private.word(text) == "Forgotten: 1 turn."


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("status", True), ("Help", True), ("stop", True), ("cancel", True), ("whoami", True),
        ("export json", True), (" export\njson", True), ("nonsense", True), ("", True),
        ("reset", False), ("clear", False), ("new", False), ("undo", False), ("leave", False),
        ("retry", False), ("again\n", False), (" reset", False),
    ],
)  # fmt: skip
def test_a_command_that_only_reads_does_not_wait_for_a_running_answer(
    text: str, reads: bool
) -> None:
    assert COMMANDS.is_reading(text) is reads


def test_builtin_commands_have_distinct_names() -> None:
    names = [name for spec in BUILTIN for name in spec.names]
    assert len(set(names)) == len(names)
    assert all(COMMANDS.find(name.upper()) for name in names)
