# Makes a small Debian with its Docker engine in it: engine.sh MIRROR SUITE DIRECTORY.
#
# Nothing in it is started but by tests, which enter it on test hosts of their own.
set -eu
# What is said here is progress; there is no result to print.
exec >&2

mirror=$1 suite=$2 tree=$3
new=$tree.new

# What a run that was killed has left.
rm -rf --one-file-system "$new"
mkdir -p "$new"
# The script of that name is the one for all suites newer than this machine's own
# debootstrap, which may not know them.
debootstrap --variant=minbase "$suite" "$new" "$mirror" sid
# Installing starts nothing, as on the machine itself.
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
chmod 755 "$new/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# A mirror may stand still. As for debootstrap, the signature is enough.
chroot "$new" apt-get update --quiet --option Acquire::Check-Valid-Until=false
chroot "$new" apt-get install --yes --quiet --no-install-recommends docker.io docker-cli
chroot "$new" apt-get clean
# A tree of this name is whole.
mv -T "$new" "$tree"
