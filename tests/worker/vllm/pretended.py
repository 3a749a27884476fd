"""A program that is started like vllm and serves nothing but /health: python pretended.py serve …

MODEL says how it behaves: "well"; "dies" after it has answered once; "sick" answers 503 after it
has been well once; "stubborn" takes no SIGTERM; or the name of a file, which it writes to its
output before it ends. Each start adds a line to the file ./starts; its child sleeps in a session
of its own, as an engine process might.
"""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

model = sys.argv[2]
port = int(sys.argv[sys.argv.index("--port") + 1])
wait = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(wait, start_new_session=True)
environment = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
with Path("starts").open("a") as starts:
    said = {"pid": os.getpid(), "child": child.pid, "words": sys.argv[1:], "env": environment}
    starts.write(json.dumps(said) + "\n")
if Path(model).is_file():
    sys.exit(Path(model).read_text())
if model == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Health(BaseHTTPRequestHandler):
    answered = 0

    def do_GET(self) -> None:
        Health.answered += 1
        well = model != "sick" or Health.answered == 1
        self.send_response(200 if well else 503)
        self.end_headers()
        if model == "dies":
            self.wfile.flush()
            os._exit(1)


sys.stderr.write("pretended: starting\n")
HTTPServer(("127.0.0.1", port), Health).serve_forever()
