# The usbip backend through the installed service: a device server of its own, at the line's speed. Sourced after lib.sh.

usbip_daemon() {
  systemd-run --quiet --unit simulator2 sh -c \
    'exec /usr/bin/ttynp simulate --ports 2 --data-port 6950 --command-port 6966 --verbose > /run/simulator2.log 2>&1'
  await "grep -q ready /run/simulator2.log"
  chmod a+r /run/simulator2.log
  systemctl enable --quiet --now ttynp-usbip.socket
  cat >> /etc/ttynp/ttynp.yaml <<Y
  usb: { address: 127.0.0.1, ports: 2, firstTty: ttyNP8, dataPort: 6950, commandPort: 6966, backend: usbip, needs: [parity, modem-lines, drain, break] }
Y
  systemctl reload ttynpd
  await "[ -c /dev/ttyNP9 ]"
  case $(readlink -f /dev/ttyNP8) in /dev/ttyUSB*) ;; *) return 1 ;; esac
  [ "$(stat -Lc "%G %a" /dev/ttyNP8)" = "dialout 660" ]
  su member -c "python3 /mnt/host/usbip.py /dev/ttyNP8 /run/simulator2.log"
  ttynp port ttyNP8 | grep -E "backend +usbip"
  write_config 2
  systemctl reload ttynpd
  await "[ ! -e /dev/ttyNP8 ] && ! ls /dev/ttyUSB*"
  systemctl stop simulator2
}
