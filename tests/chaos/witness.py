"""A target in a process of its own: it counts effects and notices, deduplicates nothing, and answers as it is told.

    POST /effects/STEP?cures=NAME   an effect; its key is the body, or the header Idempotency-Key
    POST /told/CHANNEL              a notice, as a webhook sends it
    GET  /health/NAME               200 once an effect cured NAME or it was said to be up, 503 otherwise
    GET  /goal/STEP                 {"reached": …}: whether that effect happened
    GET  /metrics                   for Prometheus: `bad{service="NAME"}`, 1 or 0, for every NAME that was spoken of
    GET  /seen                      all of it, in the order of arrival, with the monotonic time
    PUT  /health/NAME               {"up": …}
    PUT  /plan                      {"path": …, "answers": [{"effect": true, "say": 200}, …]}: the last one stays

What is said is a status, or `hang` (silence), `drip` (a byte now and then for ever) or `close` (without an answer).
`python -S` starts it in 20 ms; the first line that it prints is its port.
"""

import contextlib
import http.server
import json
import threading
import time
import urllib.parse

lock = threading.Lock()
events = []
up = {}
plans = {}
STOPPED_AFTER_S = 60


def note(kind, what):
    events.append([kind, what, time.monotonic()])  # a clock that all processes of the machine share


class Witness(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path, _, query = self.path.partition("?")
        answer = self.planned(path)
        kind, _, name = path.strip("/").partition("/")
        with lock:
            note("asked", path)
            if kind == "told":
                said = json.loads(body)
                note(
                    "told", {each: said.get(each, "") for each in ("id", "kind", "thread", "title")} | {"channel": name}
                )
            elif answer["effect"]:
                note("effect", {"step": name, "key": body or self.headers.get("Idempotency-Key", "")})
                up.update(dict.fromkeys(urllib.parse.parse_qs(query).get("cures", []), True))
        self.answer(answer["say"])

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with lock:
            if self.path == "/plan":
                plans[body["path"]] = body["answers"]
            else:
                up[self.path.removeprefix("/health/")] = body["up"]
        self.say(200, b"{}")

    def do_GET(self):
        answer = self.planned(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        with lock:
            if kind == "seen":
                return self.say(200, json.dumps(events).encode())
            if kind == "metrics":
                lines = [f'bad{{service="{service}"}} {int(not fine)}\n' for service, fine in up.items()]
                return self.say(200, "".join(lines).encode(), kind="text/plain")
            if kind == "health":
                return self.say(200 if up.get(name) else 503, b"up" if up.get(name) else b"down")
            reached = any(what == "effect" and each["step"] == name for what, each, _ in events)
        self.answer(answer["say"], json.dumps({"reached": reached}).encode())
        return None

    def planned(self, path):
        with lock:
            answers = plans.get(path, [{"effect": True, "say": 200}])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def answer(self, say, body=b"done"):
        if say == "close":
            self.close_connection = True
        elif say == "hang":
            time.sleep(STOPPED_AFTER_S)
        elif say == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            for _ in range(STOPPED_AFTER_S * 10):
                self.wfile.write(b" ")
                time.sleep(0.1)
        else:
            self.say(say, body)

    def say(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        with contextlib.suppress(ConnectionError):  # whoever asked may have been killed meanwhile
            super().handle()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Witness)
    print(server.server_port, flush=True)
    server.serve_forever()
