"""What of NetBox's API the driver needs: prefixes and addresses that are its own.

NetBox knows no transactions, and the host does: a call may fail after NetBox has done its part.
So everything made here carries the host's name, and what carries it and is not in the driver's
own books is free to be taken again.
"""

import json
from urllib.parse import urlencode

from componentize_py_types import Err
from wit_world.imports import config, http
from wit_world.imports.types import Error, ErrorCode


def failure(code: ErrorCode, message: str) -> Err:
    """What the person sees who typed the command."""
    return Err(Error(code, message))


def setting(key: str, default: str | None = None) -> str:
    """What the operator wrote in the driver's file."""
    value = config.get(key) or default
    if value is None:
        raise failure(ErrorCode.INVALID, f'the driver\'s file needs {key} = "…" in [config]')
    return value


def owner() -> str:
    """By what everything of this host can be told in NetBox."""
    return f"wasmnet {setting('host', 'default')}"


def ask(method: str, path: str, body=None, **query: str):
    """Asks NetBox: the status and what it answers."""
    url = f"{setting('server').rstrip('/')}/api/ipam/{path}/"
    if query:
        url += "?" + urlencode({**query, "limit": 1000})
    fields = [http.Field("accept", "application/json")]
    if token := config.get("token"):
        fields.append(http.Field("authorization", f"Token {token}"))
    data = b""
    if body is not None:
        fields.append(http.Field("content-type", "application/json"))
        data = json.dumps(body).encode()
    answer = http.send(http.Request(method, url, fields, data))
    if answer.status in (401, 403):
        raise failure(ErrorCode.UNAVAILABLE, "NetBox does not take the token")
    if answer.status >= 500:
        raise failure(ErrorCode.UNAVAILABLE, f"NetBox is not well (status {answer.status})")
    try:
        return answer.status, json.loads(answer.body) if answer.body else None
    except ValueError:
        raise failure(ErrorCode.UNAVAILABLE, "the server's answer is not NetBox's") from None


def find(kind: str, **query: str) -> list:
    """The prefixes or addresses that fit."""
    status, found = ask("GET", kind, **query)
    if status != 200:
        raise failure(ErrorCode.UNAVAILABLE, f"NetBox refuses to list {kind} (status {status})")
    return found["results"]


def make(path: str, **what) -> dict | None:
    """Makes one, or has one chosen; none if NetBox says no."""
    status, made = ask("POST", path, {**what, "description": owner()})
    if status != 201:
        return None
    return made[0] if isinstance(made, list) else made


def delete(kind: str, ids: list[int]) -> None:
    """Gives back; what is gone is fine."""
    if not ids:
        return
    if len(ids) == 1:
        status, _ = ask("DELETE", f"{kind}/{ids[0]}")
    else:
        status, _ = ask("DELETE", kind, [{"id": one} for one in ids])
    if status not in (204, 404):
        raise failure(ErrorCode.UNAVAILABLE, f"NetBox does not take {kind} back (status {status})")
