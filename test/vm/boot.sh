#!/bin/bash
# Boots the guest from a copy of its disk (so that a reboot keeps what was installed) and waits until it takes commands.
# $TTYNP_VM/host is /mnt/host in the guest. The guest has no network card. QEMU's TCG: no KVM needed, about 15 s.
#   boot.sh          then: vmrun.py 'command', and at last stop.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${TTYNP_VM:-$HOME/.cache/ttynp-vm}"
mkdir -p run host
cp --sparse=always root.ext4 run/disk.ext4
: > run/console.log
qemu-system-x86_64 -M q35,hpet=off -accel tcg,thread=multi,tb-size=512 -cpu max -smp "${TTYNP_VM_CPUS:-2}" -m 1024 \
  -nodefaults -display none -kernel vmlinuz -initrd initrd.img \
  -append 'console=ttyS0 root=/dev/vda quiet loglevel=3 systemd.show_status=0 mitigations=off nokaslr random.trust_cpu=on audit=0' \
  -drive file=run/disk.ext4,format=raw,if=none,id=d0,cache=unsafe,aio=threads -device virtio-blk-pci,drive=d0 \
  -device virtio-rng-pci -device virtio-serial-pci \
  -chardev socket,id=c0,path=run/cmd.sock,server=on,wait=off -device virtserialport,chardev=c0,name=ttynp.cmd \
  -fsdev local,id=f0,path=host,security_model=none,multidevs=remap -device virtio-9p-pci,fsdev=f0,mount_tag=host \
  -serial file:run/console.log -pidfile run/qemu.pid -daemonize
exec "$here/wait-ready.sh" 1
