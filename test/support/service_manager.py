# A stand-in for systemd's service manager: starts a command as Type=notify, and keeps its descriptors as service.c does
# (sd_notify(3), sd_pid_notify_with_fds(3), sd_listen_fds(3)). Commands are JSON lines on stdin, answers and events JSON lines
# on stdout; it and its command end with its stdin. Never restarts by itself, and never touches what is behind a descriptor.
import array
import ctypes
import fcntl
import json
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_KCMP = {'x86_64': 312, 'aarch64': 272}.get(platform.machine())
PR_SET_PDEATHSIG = 1
FIRST = 3
NAME_MAX = 255
MESSAGE_MAX = 4096  # NOTIFY_BUFFER_MAX
FDS_MAX = 253
poller = select.epoll()


def say(**event):
    sys.stdout.write(json.dumps(event) + '\n')
    sys.stdout.flush()


def same_file(a, b):
    """same_fd() of systemd 252: kcmp(2), and fstat(2) where that is not allowed."""
    if SYS_KCMP is not None:
        pid = os.getpid()
        order = LIBC.syscall(SYS_KCMP, pid, pid, 0, a, b)
        if order >= 0:
            return order == 0
    x, y = os.fstat(a), os.fstat(b)
    is_device = (x.st_mode & 0o170000) in (0o020000, 0o060000)
    return not is_device and x.st_mode == y.st_mode and (x.st_dev, x.st_ino) == (y.st_dev, y.st_ino)


class Store:
    """The newest first, as LIST_PREPEND leaves them."""

    def __init__(self, limit):
        self.limit = limit
        self.entries = []

    def add(self, fd, name, polled):
        if len(self.entries) >= self.limit:
            os.close(fd)
            say(event='store-full', name=name)
            return
        if any(same_file(fd, other) for other, _ in self.entries):
            os.close(fd)
            say(event='store-same', name=name)
            return
        self.entries.insert(0, (fd, name))
        if not polled:
            return
        try:
            poller.register(fd, 0)  # EPOLLHUP and EPOLLERR come unasked
        except PermissionError:
            pass  # a file is always ready

    def drop(self, doomed):
        for fd, _ in [entry for entry in self.entries if doomed(*entry)]:
            self.forget(fd)
            os.close(fd)
        self.entries = [entry for entry in self.entries if not doomed(*entry)]

    def forget(self, fd):
        """Closing does not take it out of epoll while the command has it open, too."""
        try:
            poller.unregister(fd)
        except OSError:
            pass  # FDPOLL=0

    def has_ended(self, fd):
        for stored, name in self.entries:
            if stored == fd:
                say(event='store-hangup', name=name)
                self.drop(lambda other, _: other == fd)
                return

    def clear(self):
        self.drop(lambda *_: True)


def valid_name(name):
    return len(name) <= NAME_MAX and all(' ' <= c <= '~' and c != ':' for c in name)


class Manager:
    def __init__(self, path, limit, command):
        self.path, self.command = path, command
        self.store = Store(limit)
        self.pid = 0
        self.code = None  # of the last process that ended
        self.pidfd = -1
        self.stdin = -1
        self.outputs = {}
        self.after_exit = []  # what waits for the end of the process
        self.paused = False
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)

    # --- the process

    def start(self, environment):
        if self.pid != 0:
            raise RuntimeError('it runs already')
        fds = [fd for fd, _ in self.store.entries]
        names = [name for _, name in self.store.entries]
        env = {**os.environ, 'NOTIFY_SOCKET': self.path, 'FDSTORE': str(self.store.limit)}
        for name in ('LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'):
            env.pop(name, None)
        if fds:
            env.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=':'.join(names))
        pipes = [os.pipe() for _ in range(3)]
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self.become_command(env, environment, fds, pipes)
        (theirs, self.stdin), (out, their_out), (err, their_err) = pipes
        for fd in (theirs, their_out, their_err):
            os.close(fd)
        self.outputs = {out: 'stdout', err: 'stderr'}
        for fd in self.outputs:
            os.set_blocking(fd, False)
            poller.register(fd, select.EPOLLIN)
        self.pid, self.pidfd = pid, os.pidfd_open(pid)
        poller.register(self.pidfd, select.EPOLLIN)
        say(event='started', pid=pid, names=names)
        return pid

    def become_command(self, env, overrides, fds, pipes):
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if fds:
                env['LISTEN_PID'] = str(os.getpid())
            for name, value in overrides.items():
                if value is None:
                    env.pop(name, None)
                else:
                    env[name] = value.replace('$PID', str(os.getpid()))
            above = FIRST + len(fds)
            wanted = [pipes[0][0], pipes[1][1], pipes[2][1]] + fds
            # First out of the way of the numbers that they are to get; dup2 leaves FD_CLOEXEC clear, O_NONBLOCK as it is.
            copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, above) for fd in wanted]
            for number, copy in enumerate(copies):
                os.dup2(copy, number)
            os.closerange(above, os.sysconf('SC_OPEN_MAX'))
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvpe(self.command[0], self.command, env)
        except BaseException as error:
            os.write(2, str(error).encode())
        finally:
            os._exit(203)

    def signal(self, number):
        if self.pid != 0:
            os.kill(self.pid, number)

    def has_exited(self):
        # Messages come before the end of their sender, as in systemd's order of events.
        if not self.paused:
            self.receive_all()
        for fd in list(self.outputs):
            self.read_output(fd)
        _, status = os.waitpid(self.pid, 0)
        code = self.code = os.waitstatus_to_exitcode(status)
        poller.unregister(self.pidfd)
        os.close(self.pidfd)
        os.close(self.stdin)
        for fd in list(self.outputs):
            self.close_output(fd)
        say(event='exited', pid=self.pid, code=code)
        self.pid, self.pidfd, self.stdin = 0, -1, -1
        for then in self.after_exit:
            then(code)
        self.after_exit = []

    def on_exit(self, then):
        if self.pid == 0:
            then(None)
        else:
            self.after_exit.append(then)

    def read_output(self, fd):
        while fd in self.outputs:
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                return
            if not data:
                self.close_output(fd)
                return
            say(event='output', stream=self.outputs[fd], text=data.decode(errors='replace'))

    def close_output(self, fd):
        poller.unregister(fd)
        os.close(fd)
        del self.outputs[fd]

    # --- the messages

    def receive_all(self):
        while self.receive():
            pass

    def receive(self):
        room = socket.CMSG_SPACE(4 * FDS_MAX) + socket.CMSG_SPACE(12)
        try:
            data, control, _, _ = self.notify.recvmsg(MESSAGE_MAX, room, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        fds = array.array('i')
        sender = 0
        for level, kind, payload in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                sender = struct.unpack('3i', payload)[0]
        left = self.handle(data.decode().split('\n'), list(fds), sender)
        for fd in left:
            os.close(fd)
        return True

    def handle(self, lines, fds, sender):
        """Returns the descriptors that are to be closed."""
        if 'BARRIER=1' in lines:  # manager_process_barrier_fd(): whoever sent it
            if len([line for line in lines if line]) != 1 or len(fds) != 1:
                say(event='bad-barrier', lines=lines, fds=len(fds))
            else:
                say(event='barrier')
            return fds
        if sender != self.pid:  # NotifyAccess=main
            say(event='rejected', lines=lines, sender=sender)
            return fds
        say(event='notify', lines=lines, fds=len(fds))
        name = next((line[len('FDNAME='):] for line in lines if line.startswith('FDNAME=')), None)
        if name is not None and not valid_name(name):
            say(event='bad-name', name=name)
            name = None
        if 'FDSTOREREMOVE=1' in lines:
            if name is not None:
                self.store.drop(lambda _, other: other == name)
            return fds
        if 'FDSTORE=1' in lines:
            for fd in fds:
                self.store.add(fd, name if name is not None else 'stored', 'FDPOLL=0' not in lines)
            return []
        return fds

    def pause(self, paused):
        """A manager that is busy: what is sent to it waits in the socket."""
        if paused != self.paused:
            (poller.unregister if paused else (lambda fd: poller.register(fd, select.EPOLLIN)))(self.notify.fileno())
        self.paused = paused


def kill9(manager, env, answer):
    def again(_):
        answer(manager.start(env))

    manager.signal(signal.SIGKILL)
    manager.on_exit(again)


def restart(manager, env, answer):
    manager.signal(signal.SIGTERM)
    manager.on_exit(lambda code: answer({'code': code, 'pid': manager.start(env)}))


def stop(manager, answer):
    def ended(code):
        manager.store.clear()
        answer(code)

    manager.signal(signal.SIGINT)
    manager.on_exit(ended)


def obey(manager, request):
    def answer(value=None):
        say(id=request['id'], value=value)

    env = request.get('env', {})
    commands = {
        'start': lambda: answer(manager.start(env)),
        'signal': lambda: answer(manager.signal(signal.Signals[request['name']])),
        'wait-exit': lambda: manager.on_exit(lambda code: answer(manager.code if code is None else code)),
        'restart': lambda: restart(manager, env, answer),
        'kill9': lambda: kill9(manager, env, answer),
        'stop': lambda: stop(manager, answer),
        'daemon-reload': lambda: answer(manager.store.entries.reverse()),  # reading it back prepends each
        'store': lambda: answer([name for _, name in manager.store.entries]),
        'tell': lambda: answer(os.write(manager.stdin, request['text'].encode())),
        'pause': lambda: answer(manager.pause(True)),
        'resume': lambda: answer(manager.pause(False)),
    }
    try:
        commands[request['do']]()
    except Exception as error:
        say(id=request['id'], error='%s: %s' % (type(error).__name__, error))


def main():
    path, limit, *command = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # LimitNOFILE of the unit, too
    manager = Manager(path, int(limit), command)
    poller.register(manager.notify.fileno(), select.EPOLLIN)
    poller.register(0, select.EPOLLIN)
    say(event='bound')
    commands = b''
    while True:
        # systemd takes one message a turn, and hears of a hangup before it hears of an end.
        for fd, _ in poller.poll():
            if fd == 0:
                data = os.read(0, 65536)
                if not data:
                    manager.signal(signal.SIGKILL)
                    manager.pid and os.waitpid(manager.pid, 0)
                    return
                *lines, commands = (commands + data).split(b'\n')
                for line in lines:
                    obey(manager, json.loads(line))
            elif fd == manager.notify.fileno():
                manager.receive()
            elif fd == manager.pidfd:
                manager.has_exited()
            elif fd in manager.outputs:
                manager.read_output(fd)
            else:
                manager.store.has_ended(fd)


main()
