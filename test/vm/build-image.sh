#!/bin/bash
# Builds the stock guest into $TTYNP_VM (default ~/.cache/ttynp-vm): Debian 12 with systemd and udev, without Node and without
# a compiler. Needs root, mmdebstrap, cpio, e2fsprogs, and Debian's archive; takes about 75 s.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vm=${TTYNP_VM:-$HOME/.cache/ttynp-vm}
mkdir -p "$vm"
cd "$vm"
root=$vm/rootfs

mmdebstrap --quiet --variant=minbase \
  --include=systemd-sysv,systemd,udev,dbus,kmod,python3,python3-serial,iproute2,procps,busybox-static,linux-image-amd64,\
setserial,minicom,ppp,libmodbus5 \
  bookworm rootfs.tar
rm -rf "$root"
mkdir "$root"
tar -C "$root" -xpf rootfs.tar
rm rootfs.tar

install -m 755 "$here/agent.py" "$root/opt/agent.py"
echo guest > "$root/etc/hostname"
printf '127.0.0.1 localhost guest\n::1 localhost\n' > "$root/etc/hosts"
printf '/dev/vda / ext4 rw,noatime 0 0\n' > "$root/etc/fstab"
mkdir -p "$root/mnt/host"
cat > "$root/opt/setup.sh" <<'U'
modprobe virtio_console
modprobe 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none host /mnt/host
exit 0
U
cat > "$root/etc/systemd/system/guest-agent.service" <<'U'
[Unit]
Description=Runs what the host asks
After=multi-user.target
[Service]
ExecStartPre=-/bin/sh /opt/setup.sh
ExecStart=/usr/bin/python3 -S -E /opt/agent.py
KillMode=process
[Install]
WantedBy=default.target
U
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -sf /etc/systemd/system/guest-agent.service "$root/etc/systemd/system/default.target.wants/guest-agent.service"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
# What only costs time here; nothing of it matters to the service.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  systemd-timesyncd.service systemd-networkd.service systemd-pstore.service getty@tty1.service systemd-update-utmp.service \
  modprobe@drm.service systemd-binfmt.service dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for user in member stranger; do
  chroot "$root" useradd --create-home "$user"
done
chroot "$root" usermod --append --groups dialout member
rm -rf "$root"/var/cache/apt/*.bin

rm -f root.ext4.new
truncate -s 3G root.ext4.new
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 -L root -d "$root" root.ext4.new

kernel=$(ls "$root/lib/modules" | sort -V | tail -1)
tree=$(mktemp -d)
mkdir -p "$tree"/bin "$tree"/proc "$tree"/sys "$tree"/dev "$tree"/newroot "$tree"/modules
cp "$root/bin/busybox" "$tree/bin/busybox"
chroot "$root" modprobe -S "$kernel" --show-depends -a virtio_pci virtio_blk ext4 2>/dev/null |
  awk '/^insmod/ && !seen[$2]++ { print $2 }' | while read -r module; do
  name=$(basename "$module")
  cp "$root$module" "$tree/modules/"
  case $name in *.xz) xz -d "$tree/modules/$name"; name=${name%.xz} ;; esac
  echo "/modules/$name" >> "$tree/list"
done
cat > "$tree/init" <<'I'
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
while read -r module; do /bin/busybox insmod "$module"; done < /list
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -b /dev/vda ] && break; /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /newroot
/bin/busybox mount --move /dev /newroot/dev
/bin/busybox umount /proc
/bin/busybox umount /sys
exec /bin/busybox switch_root /newroot /sbin/init
I
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet) > initrd.img
rm -rf "$tree"
cp "$root/boot/vmlinuz-$kernel" vmlinuz
rm -rf "$root"
mv root.ext4.new root.ext4
