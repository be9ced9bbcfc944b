"""The LangSmith server on loopback, against LangSmith's own client."""

from __future__ import annotations

import asyncio
import time

import langsmith
import pytest
from langsmith import Client

from tests.fakes.langsmith_server import LangSmithServer, Run
from tests.support.tracing_harness import KEY
from tests.support.wait import wait_until


@pytest.mark.parametrize("zstd", [True, False])
async def test_the_fake_understands_langsmiths_own_client(zstd: bool) -> None:
    async with LangSmithServer(zstd=zstd) as server:

        def send_two_runs_and_feedback() -> None:
            client = Client(server.url, api_key=KEY)
            give_up_at = time.monotonic() + 60
            while zstd and client.compressed_traces is None and time.monotonic() < give_up_at:
                time.sleep(0.01)  # its thread asks for the server's features before it compresses
            tree = langsmith.RunTree(
                name="parent", inputs={"a": 1}, ls_client=client, project_name="p"
            )
            tree.post()
            child = tree.create_child("child", run_type="tool", inputs={"b": "\r\n--x"})
            child.post()
            child.end(outputs={"c": 2})
            child.patch()
            tree.end(error="broken")
            tree.patch()
            client.create_feedback(
                tree.id, trace_id=tree.trace_id, key="thumb", score=1, session_id=tree.id
            )
            client.close(timeout=60)

        await asyncio.to_thread(send_two_runs_and_feedback)
        await wait_until(lambda: len(server.runs) == 2 and server.feedback)
        parent, child = sorted(server.runs.values(), key=lambda run: run.dotted_order)
        assert (parent.name, parent.inputs, parent.error) == ("parent", {"a": 1}, "broken")
        assert (child.parent, child.inputs, child.outputs) == (
            parent.id,
            {"b": "\r\n--x"},
            {"c": 2},
        )
        assert isinstance(parent, Run)
        assert ("zstd" in server.encodings) is zstd
        assert server.problems == []
