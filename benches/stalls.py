"""How long others wait beside large transactions.

    python benches/stalls.py "host=127.0.0.1 port=5433 user=postgres" [rows, 1000000 if left out]

Two sessions update single rows of a small table and two insert into another, which takes new pages
all the time, each statement a transaction. Beside them one session runs large transactions. Printed
for each: how long its statement and its commit took, and the longest waits of the others with the
time when each began, counted from the beginning of the COMMIT. Needs psycopg 3; PostgreSQL will do
as a server, too.
"""

import multiprocessing
import random
import sys
import time

import psycopg

LONGEST = 5
SMALL_ROWS = 1000

SETUP = f"""
DROP TABLE IF EXISTS large, small, growing;
CREATE TABLE large (id int, n bigint, filler text);
INSERT INTO large SELECT g, g * 7919::bigint % $rows, repeat('x', 80) FROM generate_series(1, $rows) g;
ALTER TABLE large ADD PRIMARY KEY (id);
CREATE TABLE small (id int PRIMARY KEY, v int);
INSERT INTO small SELECT g, 0 FROM generate_series(1, {SMALL_ROWS}) g;
CREATE TABLE growing (id int, filler text);
CHECKPOINT;
"""

LARGE = [
    # For comparison: it keeps a core busy and changes nothing.
    "SELECT count(*) FROM generate_series(1, 30000000)",
    "UPDATE large SET filler = repeat('y', 80)",
    "INSERT INTO large SELECT g, g, 'z' FROM generate_series($rows + 1, 3 * $rows) g",
    "DELETE FROM large WHERE id > $rows",
    "CREATE INDEX large_n ON large (n)",
    "INSERT INTO large SELECT g, random() * $rows, 'z' FROM generate_series($rows + 1, 2 * $rows) g",
    "UPDATE large SET n = n + 1 WHERE id <= $rows / 2",
    "DELETE FROM large",
]


def client(number, conninfo, is_over, waits):
    """Runs small transactions; sends when each began and how long it took, if that was long."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.prepare_threshold = 1
        while not is_over.is_set():
            began = time.monotonic()
            if number % 2 == 0:
                row = random.randrange(SMALL_ROWS) + 1
                connection.execute("UPDATE small SET v = v + 1 WHERE id = %s", [row])
            else:
                connection.execute("INSERT INTO growing VALUES (%s, %s)", [1, "g" * 2000])
            took = time.monotonic() - began
            if took > 0.005:
                waits.put((began, took, ["update", "insert"][number % 2]))


def drain(waits):
    found = []
    while not waits.empty():
        found.append(waits.get())
    return found


def run(connection, statement, waits):
    drain(waits)
    began = time.monotonic()
    connection.execute("BEGIN")
    connection.execute(statement)
    commit = time.monotonic()
    connection.execute("COMMIT")
    ended = time.monotonic()
    time.sleep(0.5)
    print(f"{statement}: {commit - began:.2f} s, COMMIT {1000 * (ended - commit):.0f} ms")
    longest = sorted(drain(waits), key=lambda wait: -wait[1])[:LONGEST]
    for start, took, what in sorted(longest):
        print(f"    {what} waited {1000 * took:4.0f} ms from {1000 * (start - commit):+6.0f} ms on")


def main():
    conninfo = sys.argv[1]
    rows = sys.argv[2] if len(sys.argv) > 2 else "1000000"
    waits, is_over = multiprocessing.Queue(), multiprocessing.Event()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in SETUP.replace("$rows", rows).split(";\n"):
            if statement.strip():
                connection.execute(statement)
        clients = [
            multiprocessing.Process(target=client, args=(number, conninfo, is_over, waits))
            for number in range(4)
        ]
        for process in clients:
            process.start()
        time.sleep(1)
        for statement in LARGE:
            run(connection, statement.replace("$rows", rows), waits)
        is_over.set()
        for process in clients:
            process.join()


main()
