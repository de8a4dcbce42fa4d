#!/bin/bash
# Ends the guest of boot.sh, by the pid in its pid file.
cd "${TTYNP_VM:-$HOME/.cache/ttynp-vm}" 2>/dev/null || exit 0
[ -f run/qemu.pid ] || exit 0
pid=$(cat run/qemu.pid)
kill "$pid" 2>/dev/null
for _ in $(seq 30); do
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
kill -9 "$pid" 2>/dev/null
rm -f run/qemu.pid
exit 0
