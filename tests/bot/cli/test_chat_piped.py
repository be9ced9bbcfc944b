"""`keepthread chat` through pipes, in processes of its own with an embedded server and a model on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes.model_server import ModelServer, fail, say, stall, truncated
from tests.support.chat_process import Program
from tests.support.wait import wait_until


async def run(program: Program, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    return await asyncio.to_thread(program.run, *arguments, stdin=stdin)


async def test_piped_lines_are_answered_one_after_the_other(program: Program) -> None:
    status, out, err = await run(program, "chat", stdin="my name is Ada\nwhat is my name?\n")
    assert (status, err) == (0, "")
    assert out == "You said: my name is Ada\nYour name is Ada.\n"


async def test_empty_lines_and_a_missing_last_line_end_do_no_harm(
    program: Program, model: ModelServer
) -> None:
    status, out, _ = await run(program, "chat", stdin="\n  \r\nfirst\r\n\n\nsecond")
    assert (status, out) == (0, "You said: first\nYou said: second\n")
    assert len(model.requests) == 2


async def test_empty_input_is_no_error(program: Program, model: ModelServer) -> None:
    assert await run(program, "chat") == (0, "", "")
    assert not model.requests


async def test_the_next_run_remembers(program: Program, model: ModelServer) -> None:
    await run(program, "chat", stdin="my name is Ada\n")
    status, out, _ = await run(program, "chat", stdin="what is my name?\n")
    assert (status, out) == (0, "Your name is Ada.\n")
    told = [(message["role"], message["content"]) for message in model.requests[-1].messages[1:]]
    assert told == [
        ("user", "my name is Ada"),
        ("assistant", "You said: my name is Ada"),
        ("user", "what is my name?"),
    ]


async def test_named_conversations_keep_apart(program: Program, model: ModelServer) -> None:
    await run(program, "chat", "-s", "work", stdin="my name is Ada\n")
    _, out, _ = await run(program, "chat", "-s", "play", stdin="what is my name?\n")
    assert out == "I do not know your name.\n"
    assert len(model.requests[-1].messages) == 2


async def test_control_characters_of_an_answer_do_not_come_through(
    program: Program, model: ModelServer
) -> None:
    model.script = [say("red \x1b[31malert\x07 \x9b2Jdone\ttab\nnext\r\n")]
    _, out, _ = await run(program, "chat", stdin="hello\n")
    assert out == "red [31malert 2Jdone\ttab\nnext\n"


async def test_commands_work_in_a_pipe(program: Program) -> None:
    said = "my name is Ada\n/reset\nwhat is my name?\n/etc/passwd?\n/exit\nnever\n"
    status, out, _ = await run(program, "chat", stdin=said)
    assert status == 0
    assert out.splitlines() == [
        "You said: my name is Ada",
        "Forgotten: 1 turn.",
        "I do not know your name.",
        "You said: /etc/passwd?",
    ]


async def test_an_export_never_overwrites_a_file(program: Program) -> None:
    _, out, _ = await run(program, "chat", stdin="my name is Ada\n/export\n/export\n/export json\n")
    paths = [Path(line) for line in out.splitlines() if line.startswith("/")]
    assert len(set(paths)) == 3
    assert [path.parent for path in paths] == [program.home] * 3
    assert paths[1].stem == f"{paths[0].stem}-2"
    assert paths[0].read_text() == paths[1].read_text()
    assert "my name is Ada" in paths[0].read_text()
    assert json.loads(paths[2].read_text())
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


async def test_a_refused_key_is_reported_on_standard_error(
    program: Program, model: ModelServer
) -> None:
    model.script = [fail(401, "invalid_api_key", "Incorrect API key provided")]
    status, out, err = await run(program, "chat", stdin="hello\nhello again\n")
    assert status == 1
    assert out == "You said: hello again\n"
    assert "does not let me in" in err
    assert "OPENAI_API_KEY" in err
    assert "Traceback" not in err


async def test_a_broken_answer_keeps_what_was_shown(program: Program, model: ModelServer) -> None:
    model.script = [truncated("the first half")]
    status, out, err = await run(program, "chat", stdin="hello\n")
    assert (status, out) == (1, "the first half\n")
    assert "cut off" in err


async def test_an_unreachable_store_is_reported(program: Program) -> None:
    program.settings["REDIS_URL"] = "redis://127.0.0.1:1/0"
    status, out, err = await run(program, "chat", stdin="hello\n")
    assert (status, out) == (1, "")
    assert "127.0.0.1:1" in err
    assert "Traceback" not in err


async def test_a_misspelt_setting_is_refused_with_the_right_name(program: Program) -> None:
    program.settings["BOT_MODLE"] = "gpt-5-mini"
    status, out, err = await run(program, "chat", stdin="hello\n")
    assert (status, out) == (1, "")
    assert "BOT_MODLE is no setting; did you mean BOT_MODEL?" in err


async def test_answers_come_as_they_are_written(program: Program, model: ModelServer) -> None:
    model.script = [stall("the first words")]
    with program.start("chat") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        first = await asyncio.to_thread(process.stdout.read, len("the first words"))
        assert first == b"the first words"
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == b""
    assert not _alive_in(program.home)


async def test_a_reader_that_closes_the_pipe_ends_it_quietly(
    program: Program, model: ModelServer
) -> None:
    model.script = [say("one\n" + "many more words\n" * 20_000, size=4_000, delay_s=0.05)]
    with program.start("chat") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"hello\nnever asked\n")
        process.stdin.flush()
        assert await asyncio.to_thread(process.stdout.readline) == b"one\n"
        process.stdout.close()
        err = await asyncio.to_thread(process.stderr.read)
        status = await asyncio.to_thread(process.wait)
    assert (status, err) == (0, b"")
    assert len(model.requests) == 1
    await wait_until(lambda: model.cancelled == 1)  # nobody pays for what nobody reads


async def test_a_slow_reader_gets_everything(program: Program, model: ModelServer) -> None:
    answer = "".join(f"line {number}\n" for number in range(40_000))
    model.script = [say(answer, size=8_000)]
    with program.start("chat") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"hello\n")
        process.stdin.close()
        process.stdin = None
        await wait_until(lambda: model.requests)
        out, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert out.decode() == answer


async def test_a_file_as_input_and_a_full_disk_as_output(program: Program) -> None:
    words = program.home / "words"
    words.write_text("hello\n")
    with words.open() as source, open("/dev/full", "wb") as target:  # noqa: ASYNC230  at once
        process = await asyncio.to_thread(
            subprocess.run,
            program.command("chat"),
            env=program.environment,
            cwd=program.home,
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert process.returncode == 1
    assert b"No space left" in process.stderr


async def test_a_kill_in_mid_answer_loses_no_earlier_turn(
    program: Program, model: ModelServer
) -> None:
    await run(program, "chat", stdin="my name is Ada\n")
    model.script = [stall("I was just")]
    with program.start("chat") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"tell me a story\n")
        process.stdin.flush()
        await asyncio.to_thread(process.stdout.read, len("I was just"))
        process.kill()
        await asyncio.to_thread(process.communicate)
    status, out, err = await run(program, "chat", stdin="what is my name?\n")
    assert (status, out, err) == (0, "Your name is Ada.\n", "")
    assert not _alive_in(program.home)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_sigterm_in_mid_answer_keeps_what_was_shown(
    program: Program, model: ModelServer, number: signal.Signals
) -> None:
    model.script = [stall("Once upon")]
    with program.start("chat") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"tell me a story\n")
        process.stdin.flush()
        await asyncio.to_thread(process.stdout.read, len("Once upon"))
        process.send_signal(number)
        _, err = await asyncio.to_thread(process.communicate)
    assert (process.returncode, err) == (128 + number, b"")
    _, out, _ = await run(program, "sessions", "export", "default")
    (turn,) = json.loads(out)["turns"]
    assert (turn["state"], turn["answer"]) == ("stopped", "Once upon")


async def test_two_processes_at_the_same_time_share_the_memory(program: Program) -> None:
    with program.start("chat") as first:
        assert first.stdin
        assert first.stdout
        first.stdin.write(b"my name is Ada\n")
        first.stdin.flush()
        await asyncio.to_thread(first.stdout.readline)
        _, out, _ = await run(program, "chat", stdin="what is my name?\n")
        assert out == "Your name is Ada.\n"
        first.stdin.write(b"and still, what is my name?\n")
        last, _ = await asyncio.to_thread(first.communicate)
    assert last == b"Your name is Ada.\n"


async def test_conversations_can_be_shown_and_forgotten(program: Program) -> None:
    """By processes of their own; tests/bot/cli/test_sessions.py has the rest."""
    await run(program, "chat", "-s", "bees", stdin="my name is Ada\n")
    listed = json.loads((await run(program, "sessions", "list", "--json"))[1])
    assert [(row["session"], row["turns"]) for row in listed] == [("console/local/bees/", 1)]
    _, out, err = await run(program, "sessions", "forget", "bees", "--yes")
    assert (out, err) == ("console/local/bees/: forgotten, 1 turn\n", "")
    _, out, _ = await run(program, "chat", "-s", "bees", stdin="what is my name?\n")
    assert out == "I do not know your name.\n"


async def test_doctor_passes_without_any_setting(program: Program) -> None:
    status, out, _ = await run(program, "doctor", "--json")
    assert status == 0, out
    states = {check["name"]: check["state"] for check in json.loads(out)}
    assert states["settings"] == states["redis"] == states["model gpt-5-mini"] == "ok"
    assert "failed" not in states.values()


def _alive_in(folder: Path) -> list[str]:
    """Command lines of processes that work with data in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found
