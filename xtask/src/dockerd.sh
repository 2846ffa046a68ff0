#!/bin/sh
# Made by `cargo xtask engine`: runs the dockerd of the tree beside this file, on a test host.
#
# In the engine's mount namespace the tree is /. Paths that it shares with others are the
# same there as on the host, and what either mounts in them is seen by both: /run, the
# engine's data, its settings, and the kernel's file systems.
set -eu
tree=$(dirname "$(readlink -f "$0")")/tree
# The process that keeps the namespace, and the namespace.
keeper=/run/lab-engine

if ! grep -q '^lab-run /run ' /proc/self/mounts; then
    echo "this engine is for test hosts: name it in WASMNET_LAB_DOCKERD" >&2
    exit 1
fi

# The top directory that the engine's data are in.
top= previous=
for word in "$@"; do
    if [ "$previous" = --data-root ]; then
        top=${word#/}
        top=${top%%/*}
    fi
    previous=$word
done
case $top in
'' | usr | bin | sbin | lib | lib64)
    echo "this engine needs --data-root, and not below /usr" >&2
    exit 1
    ;;
esac

# All of this ends with the host. An engine's second start finds the namespace of the first,
# and in it the mounts of containers that live on.
pid=none is=none
if [ -e "$keeper" ]; then
    read -r pid is <"$keeper"
fi
if [ "$(readlink "/proc/$pid/ns/mnt")" != "$is" ]; then
    # Twice: a new / must not lie on a mount that is shared.
    mount --bind "$tree" "$tree"
    mount --make-private "$tree"
    mount --bind "$tree" "$tree"
    # shellcheck disable=SC2016
    unshare --mount --propagation unchanged sh -euc '
        tree=$1 top=$2 keeper=$3
        for dir in dev proc sys run etc/docker "$top"; do
            mkdir -p "$tree/$dir"
            mount --rbind "/$dir" "$tree/$dir"
        done
        for file in etc/hosts etc/resolv.conf; do
            touch "$tree/$file"
            mount --bind "/$file" "$tree/$file"
        done
        # The same choice of iptables as on the host.
        if iptables --version 2>/dev/null | grep -q legacy; then
            alternatives=/run/lab-alternatives
            cp -a "$tree/etc/alternatives" "$alternatives"
            for name in iptables ip6tables; do
                for verb in "" -save -restore; do
                    ln -sf "/usr/sbin/$name-legacy$verb" "$alternatives/$name$verb"
                done
            done
            mount --bind "$alternatives" "$tree/etc/alternatives"
        fi
        cd "$tree"
        pivot_root . mnt
        # Or the host would lose what is no longer needed here.
        mount --make-rprivate /mnt
        umount --lazy /mnt
        # Not a file for the namespace: the kernel allows it only to newer namespaces, and
        # some take this one, at random, for an older one.
        sleep infinity </dev/null >/dev/null 2>&1 &
        echo "$! $(readlink /proc/self/ns/mnt)" >"$keeper"
    ' sh "$tree" "$top" "$keeper"
    read -r pid is <"$keeper"
fi
exec nsenter --mount="/proc/$pid/ns/mnt" dockerd "$@"
