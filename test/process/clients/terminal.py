"""
Runs `npm start` in a terminal and ends it like a person: terminal.py ctrl-c|close PORT. A request is in flight at that moment.
Prints what happened to it and to the service.
"""
import http.client
import json
import os
import pty
import sys
import threading
import time

way, port = sys.argv[1], int(sys.argv[2])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("npm", ["npm", "start"])

shown = b""
while b"lossd listens on" not in shown:
    shown += os.read(terminal, 65536)

# Long enough that the request is still in flight.
rows = 1500
body = json.dumps({"embeddings": [[i % 7, i % 5] for i in range(rows)], "labels": [i % 3 for i in range(rows)]})
headers = {"content-type": "application/json"}
if "KEY" in os.environ:
    headers["x-api-key"] = os.environ["KEY"]
outcome = []


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/losses/nt_xent", body, headers)
        response = connection.getresponse()
        response.read()
        outcome.append("answered" if response.status == 200 else f"status {response.status}")
    except OSError as error:
        outcome.append(repr(error))


def is_listening():
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
        return True
    except OSError:
        return False


def drop():
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass


asking = threading.Thread(target=ask)
asking.start()
time.sleep(0.1)
if way == "ctrl-c":
    os.write(terminal, b"\x03")
    threading.Thread(target=drop, daemon=True).start()
else:
    os.close(terminal)


asking.join()
os.waitpid(pid, 0)
for _ in range(100):
    if not is_listening():
        break
    time.sleep(0.1)
print(f"{outcome[0]}, {'still there' if is_listening() else 'gone'}")
