"""An IPAM driver: a network's addresses are those that NetBox gives.

Its books are keys of the store: `pool/SUBNET` and `address/SUBNET ADDRESS`, each with NetBox's
number for it. Every call is a transaction in a fresh instance: on an error all of it is undone,
except for what NetBox has done meanwhile (see `netbox`).
"""

from ipaddress import ip_address, ip_interface, ip_network

from wit_world import exports
from wit_world.exports import ipam_driver
from wit_world.imports import store, types
from wit_world.imports.store import Scope
from wit_world.imports.types import ErrorCode, IpFamily

from netbox import delete, failure, find, make, owner, setting


class IpamDriver(exports.IpamDriver):
    def capabilities(self):
        return ipam_driver.DriverCapabilities(
            requires_mac_address=False, requires_request_replay=False
        )

    def default_address_spaces(self):
        return ipam_driver.AddressSpaces("netbox-local", "netbox-global")

    def request_pool(self, request):
        if request.sub_pool is not None:
            raise failure(ErrorCode.INVALID, "this driver knows no --ip-range")
        if request.subnet is not None:
            subnet = parse(request.subnet)
            number = reserve(subnet)
        else:
            subnet, number = choose(6 if request.family == IpFamily.IPV6 else 4)
        remember(f"pool/{subnet}", number)
        return ipam_driver.Pool(str(subnet), network(subnet), None)

    def release_pool(self, pool):
        number = recall(f"pool/{pool}")
        if number is None:
            return
        keys = store.keys(Scope.DRIVER, f"address/{pool} ")
        delete("ip-addresses", [recall(key) for key in keys])
        delete("prefixes", [number])
        for key in [*keys, f"pool/{pool}"]:
            store.delete(Scope.DRIVER, key)

    def request_address(self, pool, address, options):
        number = recall(f"pool/{pool}")
        if number is None:
            raise failure(ErrorCode.NOT_FOUND, f"there is no pool {pool}")
        subnet = ip_network(pool)
        if address is None:
            made = make(f"prefixes/{number}/available-ips") or left_in(subnet)
        else:
            made = take(subnet, plain(address))
        given = ip_interface(made["address"]).ip
        remember(f"address/{pool} {given}", made["id"])
        return types.IpNetwork(wire(given), subnet.prefixlen)

    def release_address(self, pool, address):
        key = f"address/{pool} {plain(address)}"
        number = recall(key)
        if number is not None:
            delete("ip-addresses", [number])
            store.delete(Scope.DRIVER, key)

    def agreed_changed(self):
        # Nothing is agreed through the cluster's store: NetBox is what hosts share.
        return False

    def pools(self):
        raise failure(ErrorCode.UNAVAILABLE, "NetBox shows its pools")

    def leases(self, pool, after):
        raise failure(ErrorCode.UNAVAILABLE, "NetBox shows its addresses")


def reserve(subnet) -> int:
    """NetBox's number for a subnet that nobody has."""
    for other in ours():
        if other.version == subnet.version and other.overlaps(subnet):
            raise failure(ErrorCode.EXISTS, f"{subnet} overlaps with {other}, which is in use")
    within = find("prefixes", within_include=str(subnet))
    for prefix in [*find("prefixes", contains=str(subnet)), *within]:
        if prefix["status"]["value"] == "container":
            continue
        if prefix["description"] != owner():
            taken = prefix["prefix"]
            raise failure(ErrorCode.EXISTS, f"{subnet} overlaps with {taken} in NetBox")
        forget(prefix)
    made = make("prefixes", prefix=str(subnet), status="active")
    if made is None:
        raise failure(ErrorCode.EXISTS, f"NetBox does not give {subnet}")
    return made["id"]


def choose(version: int):
    """A subnet of the operator's parent prefix, and NetBox's number for it."""
    key, length = ("parent", "24") if version == 4 else ("parent6", "64")
    parent = setting(key)
    found = find("prefixes", prefix=parent)
    if not found:
        raise failure(ErrorCode.UNAVAILABLE, f"there is no prefix {parent} in NetBox")
    held, within = ours(), ip_network(parent)
    for prefix in find("prefixes", description=owner()):
        subnet = ip_network(prefix["prefix"])
        if subnet.version == version and subnet.overlaps(within) and subnet not in held:
            forget(prefix)
    path = f"prefixes/{found[0]['id']}/available-prefixes"
    made = make(path, prefix_length=int(setting(f"{key}-size", length)), status="active")
    if made is None:
        raise failure(ErrorCode.EXHAUSTED, f"NetBox has no subnet left in {parent}")
    return ip_network(made["prefix"]), made["id"]


def take(subnet, address):
    """This address, if nobody has it."""
    if address not in subnet:
        raise failure(ErrorCode.INVALID, f"{address} is not in {subnet}")
    taken = failure(ErrorCode.EXISTS, f"{address} is in use")
    if recall(f"address/{subnet} {address}") is not None:
        raise taken
    for other in find("ip-addresses", address=str(address)):
        if other["description"] != owner():
            raise taken
        return other
    made = make("ip-addresses", address=f"{address}/{subnet.prefixlen}", status="active")
    if made is None:
        raise taken
    return made


def left_in(subnet):
    """An address that a call has left which failed."""
    for other in find("ip-addresses", parent=str(subnet), description=owner()):
        address = ip_interface(other["address"]).ip
        if recall(f"address/{subnet} {address}") is None:
            return other
    raise failure(ErrorCode.EXHAUSTED, f"all addresses of {subnet} are in use")


def forget(prefix) -> None:
    """Gives a prefix back that a call has left which failed, with its addresses."""
    left = find("ip-addresses", parent=prefix["prefix"], description=owner())
    delete("ip-addresses", [address["id"] for address in left])
    delete("prefixes", [prefix["id"]])


def ours() -> list:
    """The subnets that the driver has given."""
    return [ip_network(key.removeprefix("pool/")) for key in store.keys(Scope.DRIVER, "pool/")]


def remember(key: str, number: int) -> None:
    store.set(Scope.DRIVER, key, str(number).encode())


def recall(key: str) -> int | None:
    value = store.get(Scope.DRIVER, key)
    return None if value is None else int(value)


def plain(address):
    """An address of the contract as one of Python's."""
    if isinstance(address, types.IpAddress_Ipv4):
        return ip_address(bytes(address.value))
    return ip_address(b"".join(group.to_bytes(2) for group in address.value))


def wire(address):
    """And back."""
    octets = address.packed
    if address.version == 4:
        return types.IpAddress_Ipv4(tuple(octets))
    groups = range(0, 16, 2)
    return types.IpAddress_Ipv6(tuple(int.from_bytes(octets[at : at + 2]) for at in groups))


def parse(subnet):
    return ip_network((plain(subnet.address), subnet.prefix_length), strict=False)


def network(subnet):
    return types.IpNetwork(wire(subnet.network_address), subnet.prefixlen)
