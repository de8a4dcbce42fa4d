#!/bin/bash
# Boots the guest from its disk, which is never written (a reboot keeps what was installed, the end of QEMU throws it away),
# and waits until it takes commands.
# A cable joins its second and third serial port (ttyS1 and ttyS2, emulated 16550). $TTYNP_VM/host is /mnt/host in the guest. The guest has no network card. QEMU's TCG: no KVM needed, about 10 s. It
# emulates a CPU without AVX faster than one with: Node starts in two thirds of the time.
# TTYNP_VM_COUNT=1: its clock counts its instructions, two nanoseconds each, on one CPU. What is measured in it is then the work that
# was done, whatever else this machine does.
#   boot.sh          then: vmrun.py 'command', and at last stop.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${TTYNP_VM:-$HOME/.cache/ttynp-vm}"
mkdir -p run host
: > run/console.log
accel=(-accel tcg,thread=multi,tb-size=512)
[ -z "${TTYNP_VM_COUNT:-}" ] || accel=(-accel tcg,thread=single,tb-size=512 -icount shift=1)
qemu-system-x86_64 -M q35,hpet=off "${accel[@]}" -cpu "${TTYNP_VM_CPU:-Westmere}" -smp "${TTYNP_VM_CPUS:-${TTYNP_VM_COUNT:-2}}" -m 1024 \
  -nodefaults -display none -kernel vmlinuz -initrd initrd.img \
  -append 'console=ttyS0 root=/dev/vda quiet loglevel=3 systemd.show_status=0 mitigations=off nokaslr random.trust_cpu=on audit=0' \
  -drive file=root.ext4,format=raw,if=none,id=d0,snapshot=on,cache=unsafe,aio=threads -device virtio-blk-pci,drive=d0 \
  -device virtio-rng-pci -device virtio-serial-pci \
  -chardev socket,id=c0,path=run/cmd.sock,server=on,wait=off -device virtserialport,chardev=c0,name=ttynp.cmd \
  -fsdev local,id=f0,path=host,security_model=none,multidevs=remap -device virtio-9p-pci,fsdev=f0,mount_tag=host \
  -serial file:run/console.log \
  -chardev socket,id=s1,path=run/cable.sock,server=on,wait=off -device isa-serial,chardev=s1 \
  -chardev socket,id=s2,path=run/cable.sock,server=off -device isa-serial,chardev=s2 -pidfile run/qemu.pid -daemonize
exec "$here/wait-ready.sh" 1
