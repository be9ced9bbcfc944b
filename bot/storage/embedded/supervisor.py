"""Supervisor process of the embedded server, started by bot/storage/embedded/server.py: stdlib only, run by path.

    python -I -S supervisor.py <supervisor lock fd> <folder> <server binary> <server arguments …>

It starts the server, restarts it if it is killed, and stops it when the last user has left. Users hold a
shared lock on the file `users`; the kernel releases it however they end, so that waiting for the exclusive
lock is all it takes to notice. The supervisor keeps that lock while it stops the server: a user that comes
in between waits, and then finds everything stopped. SIGTERM and Ctrl-C are ignored, since a terminal or a
service manager sends them to all processes at once: users still need the server to finish.
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
MIN_RESTART_INTERVAL_S = 1.0
"""A server that was killed sooner after its start is restarted after a pause of this length."""
SHUTDOWN_RETRY_S = 0.5
SHUTDOWN_TIMEOUT_S = 5
LOCK_POLL_S = 0.02


class Supervisor:
    """Runs the server `command` in `folder` until no process uses it."""

    def __init__(self, folder: str, command: list[str]) -> None:
        self.folder = folder
        self.command = command
        self.socket_path = command[command.index("--unixsocket") + 1]
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.users_fd = os.open(os.path.join(folder, "users"), os.O_RDWR | os.O_CREAT, 0o600)
        self.lock = threading.Lock()
        self.is_stopping = False
        self.server: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run the server until the last user has left. Returns the exit status."""
        threading.Thread(target=self.stop_after_last_user, daemon=True).start()
        while True:
            started_at = time.monotonic()
            with self.lock:
                if self.is_stopping:
                    return 0
                self.server = self.start_server()
            status = self.server.wait()
            if self.is_stopping:
                return 0
            if status > 0:  # it refused to start: its log says why
                return EXIT_SERVER_FAILED
            if time.monotonic() - started_at < MIN_RESTART_INTERVAL_S:
                time.sleep(MIN_RESTART_INTERVAL_S)

    def stop_after_last_user(self) -> None:
        """Wait for the last user to leave, then stop the server. Runs in a thread."""
        fcntl.flock(self.users_fd, fcntl.LOCK_EX)
        with self.lock:
            self.is_stopping = True
            server = self.server
        while server is not None:  # until `run` sees its end, and ends this process
            if not self.shut_down_server():
                server.terminate()
            time.sleep(SHUTDOWN_RETRY_S)  # a server that is just starting may have missed it

    def start_server(self) -> "subprocess.Popen[bytes]":
        """Start the server, which inherits the folder's lock: two servers in one folder lose the data of one."""
        fd = self.lock_folder()
        try:
            return subprocess.Popen(  # noqa: S603  our own bundled binary
                self.command,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                pass_fds=(fd,),
                preexec_fn=self.die_with_supervisor,
            )
        finally:
            os.close(fd)

    def lock_folder(self) -> int:
        """Lock the file `server`, after stopping a server whose supervisor is gone. Returns the descriptor."""
        fd = os.open(os.path.join(self.folder, "server"), os.O_RDWR | os.O_CREAT, 0o600)
        has_asked = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not has_asked:
                    self.shut_down_server()
                    has_asked = True
                time.sleep(LOCK_POLL_S)
            else:
                return fd

    def shut_down_server(self) -> bool:
        """Send SHUTDOWN: the server writes its data and ends at once, where SIGTERM takes it 0.1 s."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SHUTDOWN_TIMEOUT_S)
            try:
                connection.connect(self.socket_path)
                connection.sendall(b"SHUTDOWN\r\n")
                return not connection.recv(100)  # only a refusal is answered
            except ConnectionResetError:
                return True
            except OSError as error:
                print("the server does not take SHUTDOWN:", error, file=sys.stderr)  # noqa: T201
                return False

    def die_with_supervisor(self) -> None:
        """Have the kernel send the server SIGTERM when the supervisor dies. Runs in the child (Linux only)."""
        if self.libc is not None:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    lock_fd, folder, *command = sys.argv[1:]
    os.set_inheritable(int(lock_fd), False)  # held by the supervisor, not by the server
    if os.fork():
        os._exit(0)  # the user that started us waits for this process
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN, which the server would inherit until it installs handlers of its own.
        signal.signal(number, lambda *_: None)
    return Supervisor(folder, command).run()


if __name__ == "__main__":
    sys.exit(main())
