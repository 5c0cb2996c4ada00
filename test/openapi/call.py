"""Calls a service through the client that openapi-python-client generated: python call.py URL FOLDER."""

import sys

sys.path.insert(0, sys.argv[2])
from lossd_client import Client
from lossd_client.api.regression import huber
from lossd_client.models import HuberJsonBody, HuberJsonBodyParams, Problem, Result

client = Client(base_url=sys.argv[1])
body = HuberJsonBody(predictions=[0.5, 4.0], targets=[0.0, 0.0], params=HuberJsonBodyParams(delta=2.0))
answer = huber.sync(client=client, body=body)
assert isinstance(answer, Result), answer
assert answer.loss == 3.0625, answer.loss
assert answer.gradients["predictions"] == [0.25, 1.0], answer.gradients
body.targets = [0.0]
refused = huber.sync(client=client, body=body)
assert isinstance(refused, Problem) and refused.status == 422, refused
print("the client of openapi-python-client reads answers and problems")
