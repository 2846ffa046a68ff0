"""As much of NetBox's API as the driver of examples/netbox-python asks for.

netbox.py PORT TOKEN PARENT...: with these prefixes, which others are taken from.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_interface, ip_network
from itertools import count
from threading import Lock
from urllib.parse import parse_qs, urlparse

TOKEN, PARENTS = sys.argv[2], sys.argv[3:]
LOCK = Lock()
NUMBERS = count(1)
PREFIXES, ADDRESSES = {}, {}


class Refused(Exception):
    """With NetBox's status."""


def add(kind, **what):
    number = next(NUMBERS)
    status = what.pop("status", "active")
    kind[number] = {"id": number, "description": "", **what, "status": {"value": status}}
    return kind[number]


def prefixes(query):
    def fits(prefix):
        net = ip_network(prefix["prefix"])
        others = {key: ip_network(query[key][0]) for key in ("prefix", "contains", "within",
                  "within_include") if key in query}
        if any(other.version != net.version for other in others.values()):
            return False
        tests = {
            "prefix": lambda other: net == other,
            "contains": lambda other: other.subnet_of(net),
            "within": lambda other: net.subnet_of(other) and net != other,
            "within_include": lambda other: net.subnet_of(other),
        }
        return all(tests[key](other) for key, other in others.items())

    return [prefix for prefix in PREFIXES.values() if fits(prefix)]


def addresses(query):
    def fits(one):
        ip = ip_interface(one["address"]).ip
        if "address" in query and ip != ip_address(query["address"][0]):
            return False
        return "parent" not in query or ip in ip_network(query["parent"][0])

    return [one for one in ADDRESSES.values() if fits(one)]


def next_prefix(number, body):
    parent = ip_network(PREFIXES[number]["prefix"])
    taken = [ip_network(one["prefix"]) for one in PREFIXES.values()]
    taken = [net for net in taken if net.version == parent.version and net != parent]
    for net in parent.subnets(new_prefix=body.pop("prefix_length")):
        if not any(net.overlaps(other) for other in taken):
            return add(PREFIXES, **body, prefix=str(net))
    raise Refused(409)


def next_address(number, body):
    net = ip_network(PREFIXES[number]["prefix"])
    taken = {ip_interface(one["address"]).ip for one in ADDRESSES.values()}
    for ip in net.hosts():
        if ip not in taken:
            return add(ADDRESSES, **body, address=f"{ip}/{net.prefixlen}")
    raise Refused(409)


def post(path, body):
    match path:
        case ["prefixes"]:
            return add(PREFIXES, **body)
        case ["ip-addresses"]:
            ip = ip_interface(body["address"]).ip
            if any(ip_interface(one["address"]).ip == ip for one in ADDRESSES.values()):
                raise Refused(400)
            return add(ADDRESSES, **body)
        case ["prefixes", number, "available-prefixes"]:
            return next_prefix(int(number), body)
        case ["prefixes", number, "available-ips"]:
            return next_address(int(number), body)
    raise Refused(404)


def get(path, query):
    found = {"prefixes": prefixes, "ip-addresses": addresses}[path[0]](query)
    if "description" in query:
        found = [one for one in found if one["description"] == query["description"][0]]
    return {"count": len(found), "results": found}


def delete(path, body):
    kind = {"prefixes": PREFIXES, "ip-addresses": ADDRESSES}[path[0]]
    numbers = [int(path[1])] if len(path) > 1 else [one["id"] for one in body]
    if any(number not in kind for number in numbers):
        raise Refused(404)
    for number in numbers:
        del kind[number]


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlparse(self.path)
        path = url.path.removeprefix("/api/ipam/").strip("/").split("/")
        try:
            if self.headers.get("authorization") != f"Token {TOKEN}":
                raise Refused(403)
            body = json.loads(body) if body else None
            with LOCK:
                match self.command:
                    case "GET":
                        status, said = 200, get(path, parse_qs(url.query))
                    case "POST":
                        status, said = 201, post(path, body)
                    case "DELETE":
                        status, said = 204, delete(path, body)
        except Refused as refused:
            status, said = refused.args[0], {"detail": "no"}
        data = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


for parent in PARENTS:
    add(PREFIXES, prefix=parent, status="container")
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
