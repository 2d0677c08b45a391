"""Heron's events with Flask and the stock CloudEvents SDK."""

import json
import os
from threading import Lock

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from flask import Flask, request

app = Flask(__name__)
handled = set()  # in a database, where it is to outlive the process
lock = Lock()
failures = int(os.environ.get("FAILURES", "0"))


@app.post("/")
def receive():
    try:
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = from_http_event(HTTPMessage(headers=headers, body=request.get_data()))
    except Exception:  # whatever it chokes on, Pub/Sub must not take it for done
        return "not a CloudEvent\n", 400
    try:
        with lock:  # what comes twice may come at the same time
            handle(event)
    except RuntimeError:
        return "to be sent again\n", 500
    return "", 204


def handle(event):
    global failures
    if event.get_id() in handled:
        return
    if failures > 0:
        failures -= 1
        raise RuntimeError("out of order")
    handled.add(event.get_id())
    data = event.get_data()
    if isinstance(data, bytes):
        data = None
    print(json.dumps({"id": event.get_id(), "type": event.get_type(), "data": data}), flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
