"""A service as FastAPI's users write it: GET /?url=URL calls the URL with httpx."""

import httpx
from fastapi import FastAPI, Response

app = FastAPI()


@app.get("/")
async def call(url: str) -> Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    return Response(answer.content, answer.status_code)
