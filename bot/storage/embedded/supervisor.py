"""The process that holds the embedded server, started by bot/storage/embedded/server.py: stdlib only, run by path.

    python -I -S supervisor.py <keeper lock fd> <folder> <server binary> <server arguments …>

It starts the server, starts it again if it is killed, and stops it when the last user has gone. Users
hold a shared lock on the file `users`; the kernel takes it from them however they end, so waiting for
the exclusive lock is all it takes to notice. While it stops the server it keeps that lock: whoever
comes in between waits, and then finds everything stopped. It ignores SIGTERM and Ctrl-C, which a
terminal or a service manager sends to all processes at once: users still need the server to finish.
"""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
EXIT_SERVER_FAILED = 3
SHORT_LIFE_S = 1.0


class Supervisor:
    def __init__(self, folder: str, command: list[str]) -> None:
        self.folder = folder
        self.command = command
        self.socket_path = command[command.index("--unixsocket") + 1]
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.users_fd = os.open(os.path.join(folder, "users"), os.O_RDWR | os.O_CREAT, 0o600)
        self.lock = threading.Lock()
        self.leaving = False
        self.server: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Serve until the last user has gone. The exit status."""
        threading.Thread(target=self.stop_with_last_user, daemon=True).start()
        while True:
            started = time.monotonic()
            with self.lock:
                if self.leaving:
                    return 0
                self.server = self.start_server()
            status = self.server.wait()
            if self.leaving:
                return 0
            if status > 0:  # it refused by itself: its log says why
                return EXIT_SERVER_FAILED
            if time.monotonic() - started < SHORT_LIFE_S:
                time.sleep(SHORT_LIFE_S)

    def stop_with_last_user(self) -> None:
        fcntl.flock(self.users_fd, fcntl.LOCK_EX)
        with self.lock:
            self.leaving = True
            server = self.server
        while server is not None:  # until `run` sees its end, and with it ours
            if not self.shut_down():
                server.terminate()
            time.sleep(0.5)  # one that is just being started may have missed it

    def start_server(self) -> "subprocess.Popen[bytes]":
        """Start it holding the folder's lock itself: two servers in one folder lose all data of one."""
        fd = self.claim_folder()
        try:
            return subprocess.Popen(  # noqa: S603  our own bundled binary
                self.command,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                pass_fds=(fd,),
                preexec_fn=self.die_with_keeper,
            )
        finally:
            os.close(fd)

    def claim_folder(self) -> int:
        """The lock that every server of this folder holds while it lives. Ends one without a keeper."""
        fd = os.open(os.path.join(self.folder, "server"), os.O_RDWR | os.O_CREAT, 0o600)
        asked = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not asked:
                    self.shut_down()
                    asked = True
                time.sleep(0.02)
            else:
                return fd

    def shut_down(self) -> bool:
        """Have the server write out what it has and end: at once, where SIGTERM takes it 0.1 s."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            try:
                link.connect(self.socket_path)
                link.sendall(b"SHUTDOWN\r\n")
                return not link.recv(100)  # it says something only if it cannot
            except ConnectionResetError:
                return True
            except OSError as error:
                print("the server does not take SHUTDOWN:", error, file=sys.stderr)  # noqa: T201
                return False

    def die_with_keeper(self) -> None:
        if self.libc is not None:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    lock_fd, folder, *command = sys.argv[1:]
    os.set_inheritable(int(lock_fd), False)  # ours to hold, not the server's
    if os.fork():
        os._exit(0)  # whoever started us need not wait for us
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN, which the server would inherit until it installs handlers of its own.
        signal.signal(number, lambda *_: None)
    return Supervisor(folder, command).run()


if __name__ == "__main__":
    sys.exit(main())
