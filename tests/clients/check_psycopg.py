"""What a Python program does with psycopg 3. The argument is the connection string."""

import datetime
import sys
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row

conninfo = sys.argv[1]
UTC = datetime.timezone.utc


def fails(code, act):
    try:
        act()
    except psycopg.Error as error:
        assert error.sqlstate == code, (error.sqlstate, code, str(error))
        return error
    raise AssertionError(f"expected {code}")


with psycopg.connect(conninfo, autocommit=True) as c:
    assert c.info.server_version // 10000 == 15, c.info.server_version
    assert c.info.encoding == "utf-8"
    assert c.info.parameter_status("integer_datetimes") == "on"
    assert c.info.parameter_status("standard_conforming_strings") == "on"
    c.execute("""
        CREATE TABLE t (id integer PRIMARY KEY, b boolean, s smallint, l bigint, r real,
            d double precision, n numeric, t text, v varchar(9), k char(3), dt date,
            ts timestamp, tz timestamptz, y bytea)""")

ROW = (
    1, True, -7, 2**62, 1.5, -0.1, Decimal("12345.6700"), "ünï 'x'", "var", "c",
    datetime.date(2020, 2, 29), datetime.datetime(2020, 1, 2, 3, 4, 5, 678901),
    datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), b"\x00\xff",
)
MARKS = {"s": ", ".join(["%s"] * 14), "b": ", ".join(["%b"] * 14), "t": ", ".join(["%t"] * 14)}

with psycopg.connect(conninfo) as c:
    with c.cursor() as cur:
        for n, (marks, prepare) in enumerate([("s", False), ("b", True), ("t", True)], 1):
            cur.execute(f"INSERT INTO t VALUES ({MARKS[marks]})", (n, *ROW[1:]), prepare=prepare)
            assert cur.rowcount == 1 and cur.statusmessage == "INSERT 0 1"
        cur.execute("INSERT INTO t VALUES (%s" + ", %s" * 13 + ")", (4, *[None] * 13))
    c.commit()
    for binary in (False, True):
        for n in (1, 2, 3):
            got = c.execute("SELECT * FROM t WHERE id = %s", (n,), binary=binary).fetchone()
            want = (n, *ROW[1:9], "c  ", *ROW[10:])
            assert got == want, (binary, n, got)
            assert str(got[6]) == "12345.6700", got[6]
        assert c.execute("SELECT * FROM t WHERE id = 4", binary=binary).fetchone() == (
            4, *[None] * 13)
    cur = c.execute("SELECT id, n, v FROM t ORDER BY id")
    assert [d.name for d in cur.description] == ["id", "n", "v"]
    assert [d.type_code for d in cur.description] == [23, 1700, 1043]
    assert cur.description[2].display_size == 9
    assert cur.fetchmany(2)[1][0] == 2 and len(cur.fetchall()) == 2
    assert c.cursor(row_factory=dict_row).execute("SELECT 1 AS one").fetchone() == {"one": 1}

# Transactions: commit, rollback, the failed state.
with psycopg.connect(conninfo) as c:
    fails("23505", lambda: c.execute("INSERT INTO t (id) VALUES (1)"))
    assert c.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    fails("25P02", lambda: c.execute("SELECT 1"))
    c.rollback()
    with c.transaction():
        c.execute("INSERT INTO t (id) VALUES (100)")
    try:
        with c.transaction():
            c.execute("INSERT INTO t (id) VALUES (101)")
            raise ValueError
    except ValueError:
        pass
    assert c.execute("SELECT id FROM t WHERE id >= 100").fetchall() == [(100,)]
    c.execute("DELETE FROM t WHERE id >= 100")

# Nested transactions are savepoints.
with psycopg.connect(conninfo, autocommit=True) as c:
    with c.transaction():
        c.execute("INSERT INTO t (id) VALUES (200)")
        with c.transaction():
            c.execute("INSERT INTO t (id) VALUES (201)")
        try:
            with c.transaction("named"):
                c.execute("INSERT INTO t (id) VALUES (202)")
                with c.transaction():
                    c.execute("INSERT INTO t (id) VALUES (%s)", (203,))
                c.execute("INSERT INTO t (id) VALUES (%s)", (200,))
        except psycopg.errors.UniqueViolation:
            pass
        assert c.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        c.execute("INSERT INTO t (id) VALUES (204)")
    found = c.execute("SELECT id FROM t WHERE id >= 200 ORDER BY id").fetchall()
    assert found == [(200,), (201,), (204,)], found
    c.execute("DELETE FROM t WHERE id >= 200")

# Errors and their fields.
with psycopg.connect(conninfo, autocommit=True) as c:
    error = fails("23505", lambda: c.execute("INSERT INTO t (id) VALUES (%s)", (1,)))
    assert isinstance(error, psycopg.errors.UniqueViolation)
    assert error.diag.constraint_name == "t_pkey" and error.diag.table_name == "t"
    assert error.diag.message_detail == "Key (id)=(1) already exists."
    error = fails("42P01", lambda: c.execute("SELECT * FROM nope"))
    assert error.diag.statement_position == "15", error.diag.statement_position
    fails("42601", lambda: c.execute("SELEC 1"))
    fails("22P02", lambda: c.execute("SELECT 'x'::integer"))
    fails("22012", lambda: c.execute("SELECT 1 / %s", (0,)))
    fails("42703", lambda: c.execute("SELECT nope"))
    fails("22001", lambda: c.execute("INSERT INTO t (id, v) VALUES (9, %s)", ("x" * 10,)))
    # More than one statement needs the simple protocol, so no parameters.
    c.execute("SELECT 1; SELECT 2")
    fails("42601", lambda: c.execute("SELECT 1; SELECT %s", (2,)))

# Prepared by itself after a few executions, executemany, RETURNING, pipelines.
with psycopg.connect(conninfo) as c:
    c.execute("CREATE TABLE m (id integer PRIMARY KEY, v text)")
    with c.cursor() as cur:
        cur.executemany("INSERT INTO m VALUES (%s, %s)", [(n, f"v{n}") for n in range(500)])
        assert cur.rowcount == 500
        cur.executemany(
            "INSERT INTO m VALUES (%s, %s) RETURNING id",
            [(1000 + n, "r") for n in range(3)], returning=True)
        ids = [cur.fetchone()[0]]
        while cur.nextset():
            ids.append(cur.fetchone()[0])
        assert ids == [1000, 1001, 1002], ids
        for n in range(20):
            assert cur.execute("SELECT v FROM m WHERE id = %s", (n,)).fetchone() == (f"v{n}",)
    c.commit()
    with c.pipeline():
        cursors = [c.execute("SELECT v FROM m WHERE id = %s", (n,)) for n in range(50)]
        assert [cur.fetchone()[0] for cur in cursors] == [f"v{n}" for n in range(50)]
    try:
        with c.pipeline() as p:
            c.execute("INSERT INTO m VALUES (2000, 'x')")
            c.execute("INSERT INTO m VALUES (1, 'x')")
            c.execute("INSERT INTO m VALUES (2001, 'x')")
            p.sync()
    except psycopg.errors.UniqueViolation:
        pass
    c.rollback()
    assert c.execute("SELECT count(*) FROM m WHERE id >= 2000").fetchone() == (0,)

# COPY both ways.
with psycopg.connect(conninfo) as c:
    c.execute("CREATE TABLE y (a integer, b text, d date)")
    rows = [(n, f"tab\there {n}" if n % 7 else None, datetime.date(2020, 1, 1)) for n in range(5000)]
    with c.cursor() as cur:
        with cur.copy("COPY y (a, b, d) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert cur.rowcount == 5000, cur.rowcount
        with cur.copy("COPY (SELECT * FROM y ORDER BY a) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "date"])
            assert list(copy.rows()) == rows
        with cur.copy("COPY y TO STDOUT (FORMAT csv, HEADER)") as copy:
            assert b"".join(copy).count(b"\n") == 5001
    c.commit()

    def give_up():
        with c.cursor() as cur, cur.copy("COPY y FROM STDIN") as copy:
            copy.write("1\tx\t2020-01-01\n")
            raise ZeroDivisionError
    try:
        give_up()
    except ZeroDivisionError:
        pass
    c.rollback()
    assert c.execute("SELECT count(*) FROM y").fetchone() == (5000,)

print("all checks passed")
