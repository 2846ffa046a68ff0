#!/bin/busybox sh
# The first thing that runs in the machine: makes a root of the host's files, which stay as they
# are: what is written goes to memory.
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /memory /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module"
done </modules/order
# What the kernel's command line names: shared=DIRECTORY.
for word in $(cat /proc/cmdline); do
    case $word in shared=*) shared=${word#shared=} ;; esac
done
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=1048576,$3" "$1" "$2"; }
share host /host ro,cache=loose || exit
mount -t tmpfs memory /memory
mkdir /memory/written /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/written,workdir=/memory/work overlay /new
for place in proc sys dev; do
    mount --move "/$place" "/new/$place"
done
share shared "/new$shared" rw || exit
exec switch_root /new /bin/sh "$shared/guest.sh" "$shared"
