#!/usr/bin/env python3
"""Many clients on the same few rows: Walnut against PostgreSQL 15, paired, on one machine.

  python3 benches/contention.py [--rounds 5] [--seconds 5] [--clients 64] [--jobs 300]
                                [--work hot_row,tpcb,queue,upsert] [--modes prepared]
                                [--walnut target/release/walnut]

  hot_row  UPDATE counter SET n = n + 1 WHERE id = 1, autocommit
  tpcb     pgbench's TPC-B at scale 1: all clients update the one row of pgbench_branches
  queue    each client takes a job (FOR UPDATE SKIP LOCKED LIMIT 1), deletes it, commits, until
           the queue is empty: --jobs for each client
  upsert   INSERT ... ON CONFLICT DO UPDATE on 100 keys

Both servers run with their defaults (fsync on) in temporary directories on free ports; Walnut is
built with --release unless --walnut names one. Each round runs Walnut and then PostgreSQL, so that
drift of the machine hits both alike: medians of transactions per second, and the median of the
paired ratios. After each run the rows are compared with the number of transactions that pgbench
counted; a run that lost or invented one ends everything. The scripts are in sql/contention.
"""
import argparse, os, pathlib, re, shutil, socket, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "sql" / "contention"
BIN = "/usr/lib/postgresql/15/bin"

# What a run leaves, as a query that gives the number of its transactions, and one that must give 0.
CHECKS = {
    "hot_row": ("SELECT n FROM counter", None),
    "tpcb": (
        "SELECT count(*) FROM pgbench_history",
        "SELECT count(*) FROM (SELECT sum(bbalance) FROM pgbench_branches"
        " UNION SELECT sum(tbalance) FROM pgbench_tellers"
        " UNION SELECT sum(abalance) FROM pgbench_accounts"
        " UNION SELECT sum(delta) FROM pgbench_history) AS sums(s) HAVING count(*) > 1",
    ),
    "queue": (None, "SELECT count(*) FROM jobs"),
    "upsert": ("SELECT sum(n) FROM hits", None),
}


class Server:
    """A running server: its port, and how it ends."""

    def __init__(self, name, port, command, root, as_user=None):
        self.name, self.port, self.root = name, port, root
        log = open(os.path.join(root, "log"), "w")
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, user=as_user, group=as_user, cwd="/"
        )
        for _ in range(300):
            if self.sql("SELECT 1", must=False) == "1":
                return
            time.sleep(0.1)
        self.stop(keep=True)
        sys.exit(f"{name} does not start: see {root}/log")

    def stop(self, keep=False):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)

    def run(self, program, *args):
        to = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        return subprocess.run([program, *to, *args], capture_output=True, text=True)

    def sql(self, *texts, must=True):
        commands = [word for text in texts for word in ("-c", text)]
        out = self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands, "postgres")
        if out.returncode and must:
            raise RuntimeError(out.stderr.strip())
        return out.stdout.strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_walnut(binary):
    root, port = tempfile.mkdtemp(prefix="contention_walnut_"), free_port()
    return Server("walnut", port, [binary, "serve", "--data", f"{root}/data", "--port", str(port)], root)


def start_postgres():
    root, port = tempfile.mkdtemp(prefix="contention_postgres_"), free_port()
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(root, user, user)
    initdb = [f"{BIN}/initdb", "-D", f"{root}/data", "-A", "trust", "-U", "postgres"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, user=user, group=user, cwd="/")
    command = [f"{BIN}/postgres", "-D", f"{root}/data", "-p", str(port), "-k", root]
    return Server("postgres", port, [*command, "-c", "max_connections=300"], root, user)


def prepare(server, work, jobs):
    if work == "tpcb":
        out = server.run("pgbench", "-i", "-s", "1", "-q", "postgres")
        if out.returncode:
            raise RuntimeError(out.stderr.strip())
        return
    out = server.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(SCRIPTS / "schema.sql"), "postgres")
    if out.returncode:
        raise RuntimeError(out.stderr.strip())
    if work == "queue":
        server.sql(f"INSERT INTO jobs SELECT i, 'job ' || i FROM generate_series(1, {jobs}) AS i")


def measure(server, work, mode, a):
    """Transactions per second of one run whose rows are as they must be."""
    prepare(server, work, a.jobs * a.clients)
    script = ["-b", "tpcb-like"] if work == "tpcb" else ["-f", str(SCRIPTS / f"{work}.sql")]
    span = ["-t", str(a.jobs)] if work == "queue" else ["-T", str(a.seconds)]
    threads = str(min(a.clients, os.cpu_count() or 1))
    out = server.run("pgbench", "-n", "-c", str(a.clients), "-j", threads, "-M", mode, *span, *script, "postgres")
    rate = re.search(r"^tps = ([\d.]+)", out.stdout, re.M)
    count = re.search(r"actually processed: (\d+)", out.stdout)
    failed = re.search(r"failed transactions: (\d+)", out.stdout)
    if out.returncode or not rate or not count or (failed and failed[1] != "0"):
        raise RuntimeError((out.stderr or out.stdout).strip())
    counted, zero = CHECKS[work]
    if counted and server.sql(counted) != count[1]:
        sys.exit(f"{server.name}, {work}: {server.sql(counted)} of {count[1]} transactions are there")
    if zero and server.sql(zero) not in ("", "0"):
        sys.exit(f"{server.name}, {work}: {zero} gives {server.sql(zero)}")
    return float(rate[1])


def compare(servers, work, mode, a):
    found = {server.name: [] for server in servers}
    for _ in range(a.rounds):
        for server in servers:
            try:
                found[server.name].append(measure(server, work, mode, a))
            except RuntimeError as error:
                return f"{work:9}{mode:10}{a.clients:>8}  {server.name}: {str(error).splitlines()[0]}"
    walnut, postgres = found.values()
    ratios = [w / p for w, p in zip(walnut, postgres)]
    median = statistics.median
    return (
        f"{work:9}{mode:10}{a.clients:>8}{median(walnut):>10.0f}{median(postgres):>10.0f}"
        f"{median(ratios):>8.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}"
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--walnut", help="the program; built with cargo if it is not given")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--jobs", type=int, default=300, help="for each client")
    p.add_argument("--work", default="hot_row,tpcb,queue,upsert")
    p.add_argument("--modes", default="prepared")
    a = p.parse_args()
    if not a.walnut:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        a.walnut = ROOT / "target" / "release" / "walnut"
    os.environ["PATH"] += f":{BIN}"
    servers = []
    try:
        servers.append(start_walnut(os.path.abspath(a.walnut)))
        servers.append(start_postgres())
        print(servers[1].sql("SELECT version()").split(" on ")[0], "and", servers[0].sql("SELECT version()"))
        print(f"{a.rounds} rounds, {a.seconds} s each, {a.jobs} jobs for each client")
        head = f"{'work':9}{'mode':10}{'clients':>8}{'walnut':>10}{'postgres':>10}{'ratio':>8}"
        print(head + f"{'least':>8}{'most':>8}", flush=True)
        for work in a.work.split(","):
            for mode in a.modes.split(","):
                print(compare(servers, work, mode, a), flush=True)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
