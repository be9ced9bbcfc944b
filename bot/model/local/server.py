"""Server process of the local model, run by path from bot/model/local/runtime.py.

    python -P server.py <supervisor lock fd> <folder> <GGUF file> <threads> <answers at once> <context tokens>

It holds the lock on the file `keeper` while it runs, writes its base URL and key to the file `address`, and
ends with its last user: users hold a shared lock on the file `users`, which the kernel releases however they
end. It ignores SIGTERM and Ctrl-C, which a terminal or a service manager sends to all processes at once:
users still need the model to finish their answers.
"""

import fcntl
import json
import os
import secrets
import signal
import sys
import threading

EXIT_CANNOT_LOAD = 3


def main() -> int:
    """Serve until the last user has left. Returns an exit status only if the model cannot be loaded."""
    lock_fd, folder, model, threads, answers, context = sys.argv[1:]
    os.set_inheritable(int(lock_fd), False)
    if os.fork():
        os._exit(0)  # the parent returns to the process that spawned it
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    users_fd = os.open(os.path.join(folder, "users"), os.O_RDWR | os.O_CREAT, 0o600)
    key = secrets.token_urlsafe(24)
    try:
        server = serve(model, key, int(threads), int(answers), int(context))
    except (RuntimeError, ImportError, OSError) as error:
        print("the model cannot be loaded:", error, file=sys.stderr)  # noqa: T201  its log
        return EXIT_CANNOT_LOAD
    # Waits for the last user in a thread, so that signals reach the main one.
    last_user = threading.Thread(target=fcntl.flock, args=(users_fd, fcntl.LOCK_EX), daemon=True)
    last_user.start()
    publish(folder, {"base_url": f"{server.listening_address}/v1", "key": key, "pid": os.getpid()})
    last_user.join()
    # Nothing needs to be written, and the kernel frees memory faster than unloading would. Until the process
    # has ended `users` stays locked: a new user waits, and then finds the server stopped.
    os._exit(0)


def serve(model: str, key: str, threads: int, answers: int, context: int):  # type: ignore[no-untyped-def]
    """Load the model and serve it on a free loopback port."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"local"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]  # other users of this machine reach the port too
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1  # errors
    params.n_parallel = answers
    params.kv_unified = True
    params.n_ctx = context
    params.cache_ram_mib = 0
    params.no_extra_bufts = True
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(params)


def publish(folder: str, address: dict[str, object]) -> None:
    """Write the file `address` in one step."""
    path = os.path.join(folder, "address")
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(address, file)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
