"""A server that speaks just enough of the protocol over its standard streams, and misbehaves as a test wants.

Run as a program without the site: it starts in no time. Its first argument is a Python expression of what it does at a
call, `args` being the arguments, or a statement such as `hang()`; the second one is the file that has its tools.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "additionalProperties": False}
TOOL = {"name": "work", "description": "Work.", "inputSchema": SCHEMA}


def say(text: str) -> None:
    _ = sys.stdout.write(text)
    sys.stdout.flush()


def hang() -> None:
    while True:
        time.sleep(60)


def die(code: int = 3) -> None:
    _ = sys.stderr.write(f"It dies. {os.environ.get('BARE_KEY', '')}\n")
    sys.stderr.flush()
    os._exit(code)


def flood(text: str) -> None:
    while True:
        say(text)


def reply(**rest: Any) -> None:
    say(json.dumps({"jsonrpc": "2.0", "id": asked, **rest}) + "\n")


def notify(method: str, params: dict[str, Any]) -> None:
    say(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}) + "\n")


def meet(folder: str) -> dict[str, Any]:
    """Wait until somebody else is there, too."""
    Path(folder, str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < 2:
        time.sleep(0.01)
    return text("met")


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def raw(result: str) -> None:
    """Answer with a text of JSON as it is."""
    say(f'{{"jsonrpc":"2.0","id":{json.dumps(asked)},"result":{result}}}\n')


def main() -> None:
    global asked
    calls = 0
    for line in sys.stdin:
        message = json.loads(line)
        asked = message.get("id")
        match message["method"]:
            case "initialize":
                version = message["params"]["protocolVersion"]
                info = {"name": "bare", "version": "1"}
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            case "tools/list":
                listed = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else [TOOL]
                result = {"tools": listed, **({"nextCursor": "more"} if "more" in sys.argv[3:] else {})}
                if "deaf" in sys.argv[3:]:
                    reply(result=result)
                    hang()
            case "tools/call":
                calls += 1
                names = {**globals(), "args": message["params"]["arguments"], "line": line, "calls": calls}
                result = eval(sys.argv[1], names)  # noqa: S307 - what a test wants
                if result is None:
                    continue
            case _ if asked is None:
                continue
            case _:
                reply(error={"code": -32601, "message": "No."})
                continue
        reply(result=result)


asked: Any = None


def entry(does: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """This program in `MCP_SERVERS`."""
    return {"command": [sys.executable, "-I", "-S", str(Path(__file__)), does, *arguments], **more}


if __name__ == "__main__":
    main()
