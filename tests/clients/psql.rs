//! psql as a person uses it.

use std::time::Duration;

use crate::common::{Server, run, skip, text, tool};

struct Psql {
    server: Server,
    psql: std::path::PathBuf,
}

impl Psql {
    fn new() -> Option<Psql> {
        let Some(psql) = tool("psql") else {
            skip("psql is not installed");
            return None;
        };
        Some(Psql {
            server: Server::start(),
            psql,
        })
    }

    /// Everything psql prints for these lines, errors included.
    fn type_in(&self, lines: &str) -> String {
        let mut command = self.server.libpq(&self.psql);
        // Standard error goes where standard output goes, in order, as on a terminal.
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg("exec \"$0\" -X 2>&1").arg(&self.psql);
        shell.current_dir(self.server.scratch());
        for (name, value) in command.env("PGCLIENTENCODING", "UTF8").get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        text(&run(&mut shell, lines, Duration::from_secs(60)))
    }
}

#[track_caller]
fn assert_lines(output: &str, expected: &str) {
    // psql's table ends lines with blanks that no editor keeps.
    let trim = |s: &str| s.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trim(output).trim_end(), trim(expected).trim_end());
}

#[test]
fn a_session_creates_inserts_selects_and_rolls_back() {
    let Some(psql) = Psql::new() else { return };
    let output = psql.type_in(
        "CREATE TABLE fruit (id integer PRIMARY KEY, name text NOT NULL, price numeric(6, 2));
INSERT INTO fruit VALUES (1, 'walnut', 1.5), (2, 'hazel', NULL);
SELECT * FROM fruit ORDER BY id;
BEGIN;
DELETE FROM fruit;
SELECT count(*) FROM fruit;
ROLLBACK;
SELECT count(*) FROM fruit;
UPDATE fruit SET price = 2 WHERE id = 2;
INSERT INTO fruit VALUES (3, 'pecan', 3) RETURNING id, price;
DELETE FROM fruit WHERE id = 1;
SELECT id, price FROM fruit WHERE false;
DROP TABLE fruit;
",
    );
    assert_lines(
        &output,
        "CREATE TABLE
INSERT 0 2
 id |  name  | price
----+--------+-------
  1 | walnut |  1.50
  2 | hazel  |
(2 rows)

BEGIN
DELETE 2
 count
-------
     0
(1 row)

ROLLBACK
 count
-------
     2
(1 row)

UPDATE 1
 id | price
----+-------
  3 |  3.00
(1 row)

INSERT 0 1
DELETE 1
 id | price
----+-------
(0 rows)

DROP TABLE",
    );
}

#[test]
fn an_error_points_at_its_place() {
    let Some(psql) = Psql::new() else { return };
    let output = psql.type_in(
        "SELECT 1 FORM t;
SELECT * FROM nope;
SELECT 'ä', nope(1);
SELECT 1,
  2 +
  nope;
CREATE TABLE t (a integer PRIMARY KEY);
INSERT INTO t VALUES (1), (1);
SELECT 1 / 0;
BEGIN;
SELECT nope;
SELECT 1;
COMMIT;
COMMIT;
",
    );
    assert_lines(
        &output,
        "ERROR:  syntax error at or near \"t\"
LINE 1: SELECT 1 FORM t;
                      ^
ERROR:  relation \"nope\" does not exist
LINE 1: SELECT * FROM nope;
                      ^
ERROR:  function nope(integer) does not exist
LINE 1: SELECT 'ä', nope(1);
                    ^
HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
ERROR:  column \"nope\" does not exist
LINE 3:   nope;
          ^
CREATE TABLE
ERROR:  duplicate key value violates unique constraint \"t_pkey\"
DETAIL:  Key (a)=(1) already exists.
ERROR:  division by zero
BEGIN
ERROR:  column \"nope\" does not exist
LINE 1: SELECT nope;
               ^
ERROR:  current transaction is aborted, commands ignored until end of transaction block
ROLLBACK
WARNING:  there is no transaction in progress
COMMIT",
    );
}

#[test]
fn its_own_commands_work() {
    let Some(psql) = Psql::new() else { return };
    std::fs::write(
        psql.server.scratch().join("in.csv"),
        "id,name\n1,\"a,b\"\n2,\n3,\"\"\n",
    )
    .unwrap();
    let output = psql.type_in(
        "\\set QUIET on
CREATE TABLE t (id integer, name text);
\\copy t from 'in.csv' with (format csv, header)
\\pset null '<null>'
SELECT * FROM t ORDER BY id;
\\x on
SELECT * FROM t WHERE id = 1;
\\x off
SELECT max(id) AS top, count(*) AS n FROM t \\gset
\\echo :top :n
SELECT name FROM t WHERE id = :top;
\\set who 'it''s'
SELECT :'who' AS q;
SELECT 1 AS a \\; SELECT 2 AS b;
SELECT 'SELECT ' || id FROM t ORDER BY id \\gexec
\\copy (SELECT id FROM t ORDER BY id DESC) to 'out.txt'
\\! cat out.txt
\\echo :SQLSTATE :ROW_COUNT
SELECT nope;
\\echo :SQLSTATE
\\timing on
\\timing off
\\gdesc
SELECT id, name, 1.5::numeric(4, 2) AS n FROM t \\gdesc
",
    );
    assert_lines(
        &output,
        " id |  name
----+--------
  1 | a,b
  2 | <null>
  3 |
(3 rows)

-[ RECORD 1 ]
id   | 1
name | a,b

3 3
 name
------

(1 row)

  q
------
 it's
(1 row)

 a
---
 1
(1 row)

 b
---
 2
(1 row)

 ?column?
----------
        1
(1 row)

 ?column?
----------
        2
(1 row)

 ?column?
----------
        3
(1 row)

3
2
1
00000 3
ERROR:  column \"nope\" does not exist
LINE 1: SELECT nope;
               ^
42703
ERROR:  column \"nope\" does not exist
LINE 1: SELECT nope;
               ^
 Column |     Type
--------+--------------
 id     | integer
 name   | text
 n      | numeric(4,2)
(3 rows)
",
    );
}

#[test]
fn copy_from_stdin_and_to_stdout_run_in_a_script() {
    let Some(psql) = Psql::new() else { return };
    let output = psql.type_in(
        "CREATE TABLE t (a integer, b text, c boolean);
COPY t FROM STDIN;
1\tone\tt
2\t\\N\tf
3\ttab\\there\\nline\\\\end\t\\N
\\.
COPY t (b, a) FROM STDIN WITH (FORMAT csv, HEADER true, NULL 'nil');
b,a
\"quote \"\"q\"\" , x\",4
nil,5
\\.
COPY t FROM STDIN (DELIMITER '|');
6|six|true
\\.
COPY t TO STDOUT;
COPY t TO STDOUT WITH (FORMAT csv, HEADER);
COPY (SELECT a + 1, b FROM t WHERE a < 3 ORDER BY a) TO STDOUT WITH CSV;
COPY t FROM STDIN;
x\tbad\tt
\\.
COPY t FROM STDIN;
7\tshort
\\.
COPY t FROM STDIN WITH CSV;
8,long,t,extra
\\.
SELECT count(*) FROM t;
COPY t (nope) TO STDOUT;
COPY nope FROM STDIN;
",
    );
    assert_lines(
        &output,
        "CREATE TABLE
COPY 3
COPY 2
COPY 1
1\tone\tt
2\t\\N\tf
3\ttab\\there\\nline\\\\end\t\\N
4\tquote \"q\" , x\t\\N
5\t\\N\t\\N
6\tsix\tt
a,b,c
1,one,t
2,,f
3,\"tab\there
line\\end\",
4,\"quote \"\"q\"\" , x\",
5,,
6,six,t
2,one
3,
ERROR:  invalid input syntax for type integer: \"x\"
CONTEXT:  COPY t, line 1, column a: \"x\"
ERROR:  missing data for column \"c\"
CONTEXT:  COPY t, line 1: \"7\tshort\"
ERROR:  extra data after last expected column
CONTEXT:  COPY t, line 1: \"8,long,t,extra\"
 count
-------
     6
(1 row)

ERROR:  column \"nope\" of relation \"t\" does not exist
ERROR:  relation \"nope\" does not exist",
    );
}

#[test]
fn on_error_rollback_keeps_the_transaction_alive_after_a_mistake() {
    let Some(psql) = Psql::new() else { return };
    let output = psql.type_in(
        "\\set ON_ERROR_ROLLBACK on
CREATE TABLE t (id integer PRIMARY KEY);
BEGIN;
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (1);
SELECT nothing;
INSERT INTO t VALUES (2);
SAVEPOINT mine;
INSERT INTO t VALUES (3);
ROLLBACK TO mine;
COMMIT;
SELECT id FROM t ORDER BY id;
",
    );
    assert_lines(
        &output,
        "CREATE TABLE
BEGIN
INSERT 0 1
ERROR:  duplicate key value violates unique constraint \"t_pkey\"
DETAIL:  Key (id)=(1) already exists.
ERROR:  column \"nothing\" does not exist
LINE 1: SELECT nothing;
               ^
INSERT 0 1
SAVEPOINT
INSERT 0 1
ROLLBACK
COMMIT
 id
----
  1
  2
(2 rows)
",
    );
}

#[test]
fn foreign_keys_are_described_on_both_sides() {
    let Some(psql) = Psql::new() else { return };
    let output = psql.type_in(
        "\\set QUIET on
CREATE TABLE p (id int PRIMARY KEY, v int UNIQUE);
CREATE TABLE c (id int, a int REFERENCES p ON DELETE CASCADE, b int,
  CONSTRAINT two FOREIGN KEY (b) REFERENCES p (v) MATCH FULL DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE c ADD CONSTRAINT nv FOREIGN KEY (a) REFERENCES p (v) NOT VALID;
\\d c
\\d p",
    );
    assert_lines(
        &output,
        r#"                 Table "public.c"
 Column |  Type   | Collation | Nullable | Default 
--------+---------+-----------+----------+---------
 id     | integer |           |          | 
 a      | integer |           |          | 
 b      | integer |           |          | 
Foreign-key constraints:
    "c_a_fkey" FOREIGN KEY (a) REFERENCES p(id) ON DELETE CASCADE
    "nv" FOREIGN KEY (a) REFERENCES p(v) NOT VALID
    "two" FOREIGN KEY (b) REFERENCES p(v) MATCH FULL DEFERRABLE INITIALLY DEFERRED

                 Table "public.p"
 Column |  Type   | Collation | Nullable | Default 
--------+---------+-----------+----------+---------
 id     | integer |           | not null | 
 v      | integer |           |          | 
Indexes:
    "p_pkey" PRIMARY KEY, btree (id)
    "p_v_key" UNIQUE CONSTRAINT, btree (v)
Referenced by:
    TABLE "c" CONSTRAINT "c_a_fkey" FOREIGN KEY (a) REFERENCES p(id) ON DELETE CASCADE
    TABLE "c" CONSTRAINT "nv" FOREIGN KEY (a) REFERENCES p(v) NOT VALID
    TABLE "c" CONSTRAINT "two" FOREIGN KEY (b) REFERENCES p(v) MATCH FULL DEFERRABLE INITIALLY DEFERRED"#,
    );
}
