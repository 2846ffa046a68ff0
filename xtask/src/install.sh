# Installs the packages named, from Debian's archive, and starts nothing.
#
# A package with a service starts it when it is installed. A dockerd that starts changes
# the machine's forwarding and firewall, so services are refused while this runs, with the
# means that Debian has for it: /usr/sbin/policy-rc.d.
set -eu
# What is said here is progress; there is no result to print.
exec >&2

policy=/usr/sbin/policy-rc.d
saved=$policy.before-wasmnet
units="docker.service docker.socket containerd.service docker-registry.service etcd.service"

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

restore() {
    if grep -qs 'cargo xtask' "$policy"; then rm -f "$policy"; fi
    if is_there "$saved"; then mv -f "$saved" "$policy"; fi
}

# One at a time: the second would save the first one's policy.
exec 9>/run/wasmnet-install.lock
flock 9

# What a run that was killed has left.
restore
trap restore EXIT
trap 'exit 130' INT TERM HUP
if is_there "$policy"; then mv "$policy" "$saved"; fi
# If we are killed before it can be taken away, it ends with us all the same.
cat >"$policy" <<POLICY
#!/bin/sh
# Made by \`cargo xtask\`; holds only while process $$ installs packages.
if [ -d /proc/$$ ]; then exit 101; fi
if [ -x $saved ]; then exec $saved "\$@"; fi
exit 0
POLICY
chmod 755 "$policy"

new_units=
for unit in $units; do
    if ! [ -e "/lib/systemd/system/$unit" ]; then new_units="$new_units $unit"; fi
done

install() {
    # No needrestart either: it restarts services by itself.
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install --yes --quiet \
        --no-install-recommends --option DPkg::Lock::Timeout=300 \
        --option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold \
        "$@" 9>&-
}

# Nothing that somebody uses may go. The one exception: the static busybox takes the
# place of the other and does all that it does.
removed() {
    LC_ALL=C apt-get install --simulate --no-install-recommends "$@" 2>/dev/null |
        sed -n 's/^Remv \([^ ]*\).*/\1/p'
}

# New lists only where the old ones, if any, do not do.
install --download-only "$@" || apt-get update --quiet
for package in $(removed "$@"); do
    if [ "$package" != busybox ]; then
        echo "installing $* would remove $package; do one or the other by hand"
        exit 1
    fi
done
install "$@"

# Nor at the next boot. Units that were here before stay as they are.
for unit in $new_units; do
    if ! [ -e "/lib/systemd/system/$unit" ]; then continue; fi
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$unit" || true
    elif [ -e "/etc/init.d/${unit%.service}" ]; then
        update-rc.d "${unit%.service}" disable || true
    fi
done
