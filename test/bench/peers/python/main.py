"""The same job with Google's own packages for Python: verify, publish, answer."""

import base64
import hashlib
import hmac
import json
import os

import functions_framework
from google.cloud import pubsub_v1

SECRETS = [line.encode() for line in os.environ["HERON_SHARED_SECRET"].splitlines()]
PROJECT = os.environ["GOOGLE_CLOUD_PROJECT"]
publisher = pubsub_v1.PublisherClient()


@functions_framework.http
def ingest(request):
    body = request.get_data()
    given = request.headers.get("Heron-Signature", "").encode()
    signed = (base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()) for secret in SECRETS)
    if not any([hmac.compare_digest(expected, given) for expected in signed]):
        return "", 401
    topic = publisher.topic_path(PROJECT, json.loads(body)["topic"])
    publisher.publish(topic, body, **{"ce-id": hashlib.sha256(body).hexdigest()}).result(timeout=6)
    return "", 200
