"""Keep-alive clients of Python's http.client, one per thread: client.py URL COUNT. See ../clients.ts for what is printed."""
import http.client
import json
import random
import sys
import threading
import time
from urllib.parse import urlsplit

url, count = urlsplit(sys.argv[1]), int(sys.argv[2])
body = json.dumps({"predictions": [1, 2, 3], "targets": [1, 2, 5]})
result = {"answered": 0, "refused": 0, "faults": {}}
lock = threading.Lock()
warm = 0


def work(place):
    global warm
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    step = 0
    while True:
        try:
            connection.request("POST", "/v1/losses/huber", body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise ValueError(f"status {response.status}")
        except ConnectionRefusedError:
            with lock:
                result["refused"] += 1
            return
        except Exception as error:
            with lock:
                name = f"{type(error).__name__}: {error}"
                result["faults"][name] = result["faults"].get(name, 0) + 1
            return
        with lock:
            result["answered"] += 1
            warm += step == 2
            if step == 2 and warm == count:
                print("warm", flush=True)
        step += 1
        if place % 2 == 1:
            time.sleep(random.random() * 0.03)


threads = [threading.Thread(target=work, args=(place,)) for place in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(result))
