"""A service as Flask's users write it: GET /?url=URL calls the URL with requests.

GET /loop?url=URL copies headers as the walkthroughs of service meshes tell to.
"""

import requests
from flask import Flask, request

app = Flask(__name__)

COPIED = [
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
]


@app.get("/")
def call():
    answer = requests.get(request.args["url"])
    return answer.content, answer.status_code


@app.get("/loop")
def loop():
    headers = {name: request.headers[name] for name in COPIED if name in request.headers}
    answer = requests.get(request.args["url"], headers=headers)
    return answer.content, answer.status_code


@app.get("/empties")
def empties():
    headers = {name: request.headers.get(name, "") for name in COPIED}
    answer = requests.get(request.args["url"], headers=headers)
    return answer.content, answer.status_code
