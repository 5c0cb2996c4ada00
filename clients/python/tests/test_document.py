"""The host of docs/kernel-abi.md, as it is printed there."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "kernel-abi.md"


def test_the_host_of_the_document_prints_what_it_says(client):
    text = PAGE.read_text()
    code, printed = re.search(r"<!-- host -->\n```python\n(.*?)```\n```text\n(.*?)```", text, re.S).groups()
    own = code.replace("http://localhost:8080", client.url)
    assert own != code
    run = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True)
    assert run.stdout == printed, run.stderr
