"""
Clients that never read: readers.py URL COUNT BYTES FORMAT. Each sends a body of this many bytes at once and does not read the
response. FORMAT is that of both (json, safetensors), or mixed: a short body with a long response. Prints a line of JSON when
everything is sent, and another one when the service has closed all connections.
"""
import array
import json
import math
import resource
import select
import signal
import socket
import struct
import sys
import time
from urllib.parse import urlsplit

url, count, size, kind = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

JSON, BINARY = "application/json", "application/x-safetensors"


def json_body():
    numbers = [round(0.1 + abs(math.sin(i)) * 0.8, 6) for i in range(size // 2 // 10)]
    return json.dumps({"predictions": numbers, "targets": numbers[::-1]}).encode()


def safetensors_body():
    half = size // 8 * 4
    entry = lambda at: {"dtype": "F32", "shape": [half // 4], "data_offsets": [at, at + half]}
    header = json.dumps({"predictions": entry(0), "targets": entry(half)}).encode()
    floats = array.array("f", (math.sin(i) for i in range(half // 2)))
    return struct.pack("<Q", len(header)) + header + floats.tobytes()


body = json_body() if kind == "json" else safetensors_body()
head = f"POST /v1/losses/huber HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON if kind == 'json' else BINARY}\r\n"
head += f"Accept: {BINARY if kind == 'safetensors' else JSON}\r\n"
message = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
began = time.time()
poll = select.poll()
left = {}
sockets = {}
for _ in range(count):
    one = socket.create_connection((url.hostname, url.port))
    one.setblocking(False)
    sockets[one.fileno()] = one
    left[one.fileno()] = memoryview(message)
    poll.register(one, select.POLLOUT | select.POLLRDHUP)

sent = closed = 0


def say(what):
    print(json.dumps({"what": what, "sent": sent, "closed": closed, "seconds": round(time.time() - began, 1)}), flush=True)


def give_up(*_):
    """Shows what the service has sent on a connection that it has not closed."""
    say("open")
    one = next(iter(sockets.values()))
    print(one.recv(400).decode("latin-1").splitlines(), flush=True)
    sys.exit(1)


signal.signal(signal.SIGTERM, give_up)


def close(number):
    global closed
    poll.unregister(number)
    sockets.pop(number).close()
    left.pop(number, None)
    closed += 1


said = False
while sockets:
    for number, event in poll.poll(1000):
        try:
            if event & (select.POLLERR | select.POLLHUP | select.POLLRDHUP):
                close(number)
                continue
            rest = left[number][sockets[number].send(left[number][:65536]) :]
        except OSError:
            close(number)
            continue
        if rest:
            left[number] = rest
            continue
        del left[number]
        sent += 1
        poll.modify(number, select.POLLRDHUP)
    if not left and not said:
        said = True
        say("sent")
say("closed")
