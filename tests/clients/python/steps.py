"""The calls that each client of this folder makes, and the lines that it prints for the test."""

import json

CALLS = [
    ("allowed", {"namespace": "storefront", "name": "web", "replicas": 5}),
    ("denied", {"namespace": "storefront", "name": "web", "replicas": 40}),
    ("waited", {"namespace": "storefront", "name": "api", "replicas": 0}),
]


def say(**line):
    print(json.dumps(line), flush=True)


async def told(_progress, _total, message):
    say(step="progress", text=message)
