# The machine's only work: runs the tests that are named in DIRECTORY/words, one a line, the first
# being their program: guest.sh DIRECTORY. How they end goes to DIRECTORY/exit.
shared=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount --rbind "$shared/../image/package/lib/modules" /lib/modules
# Docker's engine stores better on a file system of its own.
mount -t tmpfs tmpfs /mnt
export TMPDIR=/mnt
mount -t tmpfs cgroup /sys/fs/cgroup
for controller in cpuset cpu cpuacct blkio memory devices freezer pids; do
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" "$controller" "/sys/fs/cgroup/$controller" ||
        rmdir "/sys/fs/cgroup/$controller"
done
ip link set lo up
# The engine looks for it before it asks for it.
modprobe br_netfilter

uname -srvm
set --
while read -r word; do
    set -- "$@" "$word"
done <"$shared/words"
# Compiled for another processor.
rm -rf "$(dirname "$1")/wasmnet-compiled"
"$@"
echo $? >"$shared/exit"
sync
echo o >/proc/sysrq-trigger
sleep 60
