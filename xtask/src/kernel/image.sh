# Gets Debian's kernel and makes what starts it: image.sh DIRECTORY.
#
# Nothing is installed: the package is only unpacked.
set -eu
# What is said here is progress; there is no result to print.
exec >&2

dir=$1
new=$dir.new
here=$(dirname "$(readlink -f "$0")")

# What a run that was killed has left.
rm -rf "$new"
mkdir -p "$new/package" "$new/root/bin" "$new/root/modules"
cd "$new"
apt-get update --quiet
package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: *\(linux-image-[0-9]\)/\1/p')
apt-get download --quiet --option APT::Sandbox::User=root "$package"
dpkg-deb --extract "$package"_*.deb package
rm "$package"_*.deb
version=${package#linux-image-}
depmod --basedir package "$version"
mv "package/boot/vmlinuz-$version" vmlinuz

# The first root: it mounts the real one, with the modules that takes, in their order.
cp "$(command -v busybox)" root/bin/busybox
for module in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe --dirname "$new/package" --set-version "$version" --show-depends "$module"
done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' >order
while read -r file; do
    cp "$file" root/modules/
    basename "$file"
done <order >root/modules/order
cp "$here/init.sh" root/init
chmod 755 root/init
(cd root && find . | cpio --quiet --create --format newc) >initrd
# A directory of this name is whole.
mv -T "$new" "$dir"
