"""Transcription endpoint on loopback, in OpenAI's format."""

from __future__ import annotations

from typing import Any

from aiohttp import web


class TranscriptionEndpoint:
    """Endpoint on loopback that takes the uploaded bytes for the text."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = None
        self.headers: dict[str, str] = {}
        self.seen: list[dict[str, Any]] = []

    async def transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        data = file.file.read()
        self.seen.append(
            {
                "name": file.filename,
                "type": file.content_type,
                "model": form["model"],
                "key": request.headers.get("Authorization"),
            }
        )
        body = {"text": f" {data.decode()} "} if self.body is None else self.body
        return web.json_response(body, status=self.status, headers=self.headers)
