"""A scripted model on loopback: it speaks the APIs of three model vendors as far as the hosts use them.

Each turn of the conversation that has our tools waits for a step: a call of a tool, or the end. What the
host gives to the model as the result is put into a queue. Every other request gets a short text.
"""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHORT = "ok"


class Conversation:
    """The conversation with one host: steps go in, and the tools and results come out."""

    def __init__(self, server_name):
        self.server_name = server_name
        self.steps = queue.Queue()
        self.heard = queue.Queue()
        self.turns = 0

    def next_turn(self, tools, results):
        """Notes what the model is given, and waits for the next step."""
        self.turns += 1
        if self.turns == 1:
            self.heard.put({"tools": tools})
        else:
            self.heard.put(results[-1] if results else {"thrown": "(the host gave no result to the model)"})
        return self.steps.get(timeout=150)


def text_of(content):
    """The text of a result, which is a text or a list of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content)


def anthropic(conversation, body):
    """The Messages API, as events."""
    tools = [tool["name"] for tool in body.get("tools", [])]
    blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
    results = [
        {"text": text_of(block.get("content", "")), "error": bool(block.get("is_error"))}
        for block in blocks
        if block.get("type") == "tool_result"
    ]
    step = conversation.next_turn(tools, results) if conversation.ours(tools) else None
    yield "message_start", {
        "message": {
            "id": f"msg_{conversation.turns}", "type": "message", "role": "assistant", "model": body.get("model"), "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    }
    if step:
        block = {"type": "tool_use", "id": f"toolu_{conversation.turns}", "name": step["tool"], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(step["arguments"])}
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": SHORT}
    yield "content_block_start", {"index": 0, "content_block": block}
    yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    reason = "tool_use" if step else "end_turn"
    yield "message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 1}}
    yield "message_stop", {}


def openai(conversation, body):
    """The Responses API, as events."""
    tools, spaces = [], {}
    for tool in body.get("tools", []):
        if tool.get("type") == "namespace":
            for inner in tool["tools"]:
                spaces[tool["name"] + inner["name"]] = (tool["name"], inner["name"])
                tools.append(tool["name"] + inner["name"])
        elif tool.get("name"):
            tools.append(tool["name"])
    results = [
        {"text": text_of(item["output"]), "error": False}
        for item in body["input"]
        if item.get("type") == "function_call_output"
    ]
    step = conversation.next_turn(tools, results) if conversation.ours(tools) else None
    if step:
        space, name = spaces.get(step["tool"], (None, step["tool"]))
        item = {
            "type": "function_call", "id": f"fc_{conversation.turns}", "call_id": f"call_{conversation.turns}",
            "name": name, "arguments": json.dumps(step["arguments"]), "status": "completed",
        }
        if space:
            item["namespace"] = space
    else:
        item = {
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": SHORT, "annotations": []}],
        }
    response = {"id": f"resp_{conversation.turns}", "object": "response", "status": "in_progress", "output": []}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield "response.created", {"response": response}
    yield "response.output_item.added", {"output_index": 0, "item": item}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": {**response, "status": "completed", "output": [item], "usage": usage}}


def gemini(conversation, body):
    """The streamGenerateContent API: one event."""
    tools = [each["name"] for group in body.get("tools", []) for each in group.get("functionDeclarations", [])]
    results = []
    for part in [part for content in body["contents"] for part in content.get("parts", [])]:
        if "functionResponse" in part:
            told = part["functionResponse"]["response"]
            text = told.get("output", told.get("error", json.dumps(told)))
            results.append({"text": text, "error": "error" in told})
    step = conversation.next_turn(tools, results) if conversation.ours(tools) else None
    part = {"functionCall": {"name": step["tool"], "args": step["arguments"]}} if step else {"text": SHORT}
    yield None, {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    }


def api(path):
    for end, speaks in [("/messages", anthropic), ("/responses", openai), (":streamGenerateContent", gemini)]:
        if path.split("?")[0].endswith(end):
            return speaks
    return None


def serve(conversation):
    """Starts the model at a free port of loopback. Returns its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words):
            pass

        def do_GET(self):
            self.answer(404, "application/json", b'{"error": {"message": "not here", "type": "not_found_error"}}')

        do_HEAD = do_GET

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            conversation.note(self.path, body)
            speaks = api(self.path)
            if not speaks:
                # Counts of tokens and short texts.
                told = {"input_tokens": 1, "totalTokens": 1, "candidates": [{"content": {"role": "model", "parts": [{"text": SHORT}]}}]}
                self.answer(200, "application/json", json.dumps(told).encode())
                return
            lines = []
            for name, data in speaks(conversation, body):
                if name:
                    data = {"type": name, **data}
                    lines.append(f"event: {name}\n")
                lines.append(f"data: {json.dumps(data)}\n\n")
            self.answer(200, "text/event-stream", "".join(lines).encode())

        def answer(self, status, kind, body):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
