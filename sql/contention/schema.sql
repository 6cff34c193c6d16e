-- What the scripts beside this one work on: see benches/contention.py.
DROP TABLE IF EXISTS counter, jobs, hits;
CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counter VALUES (1, 0);
CREATE TABLE jobs (id int PRIMARY KEY, payload text NOT NULL);
CREATE TABLE hits (id int PRIMARY KEY, n bigint NOT NULL);
