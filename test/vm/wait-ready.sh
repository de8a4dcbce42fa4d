#!/bin/bash
# wait-ready.sh N: waits until the guest has come up for the Nth time (1: boot, 2: after a reboot).
cd "${TTYNP_VM:-$HOME/.cache/ttynp-vm}"
for _ in $(seq 900); do
  [ "$(grep -c GUEST_READY run/console.log)" -ge "$1" ] && exit 0
  sleep 0.1
done
echo "the guest did not come up: see $PWD/run/console.log" >&2
exit 1
