# serialPorts: this machine's serial ports on the network. What is served: three ttys of usbip, which are serial ports of the kernel with modem
# lines and line errors, before a device server that says what reached it; and an emulated 16550 (/dev/ttyS1) whose line ends at another (/dev/ttyS2).
# Sourced after lib.sh and usbip-daemon.sh.

served_config() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  usb: { address: 127.0.0.1, ports: 3, firstTty: ttyNP8, dataPort: 6950, commandPort: 6966, backend: usbip, needs: [parity, modem-lines, drain, break] }
  own: { address: 127.0.0.1, ports: 1, firstTty: ttyNP20, dataPort: 7950, commandPort: 7966, backend: usbip }
serialPorts:
  1: { device: /dev/ttyNP8, dataPort: 7950, commandPort: 7966 }
  2: { device: /dev/ttyNP9, mode: rfc2217, tcpPort: 7002 }
  3: { device: /dev/ttyS1, mode: tcp-server, tcpPort: 7003, packing: modbus-rtu, format: "9600,8N1" }
  4: { device: /dev/ttyNP10, mode: tcp-server, tcpPort: 7004, maxConnection: 2, allowDriverControl: on, commandPort: 7104 }
Y
}

served_begin() {
  systemctl enable --quiet --now ttynp-usbip.socket
  device_server 3
  served_config
  systemctl reload ttynpd
  await "[ -c /dev/ttyNP10 ] && [ -c /dev/ttyNP20 ]"
  await "[ \$(ttynp ports --serial | grep -cE '^ *[1-4] +/dev/[^ ]+ +up ') -eq 4 ]"
}

# The checks of a tty of usbip, with our own device server between the tty and the line.
served_real_com() { su member -c "python3 /mnt/host/usbip.py /dev/ttyNP20 $DEVICE.log 1"; }
served_rfc2217() { su member -c "python3 /mnt/host/served.py rfc2217 7002 $DEVICE 2"; }
served_16550() { su member -c "python3 /mnt/host/served.py 16550 7003 /dev/ttyS2"; }

# As root: it restarts the service.
served_restart() { python3 /mnt/host/served-restart.py 7003 /dev/ttyS2; }

# The adapter is pulled out under clients, and plugged in again.
served_unplugged() {
  local old
  old=$(main_pid)
  python3 served.py holds 7002 &
  sleep 1
  ttynp usbip suspend
  wait $!
  await "ttynp ports --serial | grep -E '^ *2 +/dev/[^ ]+ +waiting '"
  not python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7002), 2)'
  ttynp usbip resume
  await "[ \$(ttynp ports --serial | grep -cE '^ *[1-4] +/dev/[^ ]+ +up ') -eq 4 ]"
  served_rfc2217
  [ "$(main_pid)" = "$old" ]
}

served_end() {
  write_config 2
  systemctl reload ttynpd
  await "[ ! -e /dev/ttyNP8 ] && ! ls /dev/ttyUSB*"
  systemctl stop device-server
}
