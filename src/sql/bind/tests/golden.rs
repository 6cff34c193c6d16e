//! PostgreSQL 15.18's answers: columns as `\gdesc` tells them, errors as `code message @position`.

pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("select distinct on (e) e from u order by e, a", "e date"),
    ("insert into t values (default, 'x'), (1, default)", ""),
    ("insert into t default values", ""),
    ("insert into t(a, b) select a, e from u", ""),
    (
        "values (1, 'a'),(2.5, null)",
        "column1 numeric, column2 text",
    ),
    ("update t set a = u.a from u where t.a = u.a", ""),
    (
        "update t set b = e from u where u.a = t.a returning t.*, e",
        "a integer, b text, c numeric(10,2), d character varying(5), e date",
    ),
    (
        "delete from t using u where u.a = t.a returning *",
        "a integer, b text, c numeric(10,2), d character varying(5), a bigint, e date, f double precision, g boolean, h timestamp with time zone",
    ),
    (
        "select * from t limit 1.5 offset 2",
        "a integer, b text, c numeric(10,2), d character varying(5)",
    ),
    (
        "select * from t x, lateral (select x.a) y",
        "a integer, b text, c numeric(10,2), d character varying(5), a integer",
    ),
    (
        "select * from t as x(p,q)",
        "p integer, q text, c numeric(10,2), d character varying(5)",
    ),
    ("select generate_series(1,2)", "generate_series integer"),
    (
        "select generate_series(1,2) as g, a from t",
        "g integer, a integer",
    ),
    (
        "select * from generate_series(1,3)",
        "generate_series integer",
    ),
    ("select * from generate_series(1,3) as g", "g integer"),
    (
        "select * from generate_series(1,3) with ordinality as g(i, n)",
        "i integer, n bigint",
    ),
    ("select g.* from t, generate_series(1, a) g", "g integer"),
    ("select array[1,2.5]", "array numeric[]"),
    ("select array[]::text[]", "array text[]"),
    ("select array['1','2']::int[]", "array integer[]"),
    ("select z[1] from w", "z integer"),
    ("select 1 = any ('{1,2}')", "?column? boolean"),
    ("select a = any (z) from t, w", "?column? boolean"),
    ("select a in (1, 2.5, 3) from t", "?column? boolean"),
    ("select b in ('x', 'y') from t", "?column? boolean"),
    ("select (1,2) = (1,'2')", "?column? boolean"),
    ("select (a, b) < (1, 'x') from t", "?column? boolean"),
    (
        "select (a, b) in (select a, b from t), (a, b) < all (select 1, 'x') from t",
        "?column? boolean, ?column? boolean",
    ),
    (
        "select j.p, q from (t cross join u) as j(p, q)",
        "p integer, q text",
    ),
    (
        "select 1 in (select a from t), 1 not in (select a from u)",
        "?column? boolean, ?column? boolean",
    ),
    ("select a from t for update", "a integer"),
    (
        "select a from t union select a from u order by a",
        "a bigint",
    ),
    (
        "select a from t union select a from u order by 1 limit 1",
        "a bigint",
    ),
    ("select a from t group by a order by sum(c)", "a integer"),
    (
        "select b, (select t.c) from t group by a",
        "b text, c numeric(10,2)",
    ),
    (
        "select b, c, count(*) from t group by a",
        "b text, c numeric(10,2), count bigint",
    ),
    ("select 1::pg_catalog.int8", "int8 bigint"),
    (
        "select 'a'::char, 'ab'::char(2), 'ab'::varchar(7), 1::numeric(5,1), 1::float(3), 1::float(30)",
        "bpchar character(1), bpchar character(2), varchar character varying(7), numeric numeric(5,1), float4 real, float8 double precision",
    ),
    ("select coalesce(a, c) from t", "coalesce numeric"),
    (
        "select greatest(1, 2.5), least('a', 'b')",
        "greatest numeric, least text",
    ),
    ("select nullif(a, 2.5) from t", "nullif numeric"),
    ("select a is distinct from 1.5 from t", "?column? boolean"),
    (r#"select b collate "C" from t"#, "b text"),
    ("select public.t.a from t", "a integer"),
    ("select 99999999999999999999", "?column? numeric"),
    (
        "select 2147483647, 2147483648, 9223372036854775808, 1.5, 1e3",
        "?column? integer, ?column? bigint, ?column? numeric, ?column? numeric, ?column? numeric",
    ),
    (
        "select -2147483648, - 2147483648, -9223372036854775808",
        "?column? integer, ?column? integer, ?column? bigint",
    ),
    (
        "select t.* from t, u",
        "a integer, b text, c numeric(10,2), d character varying(5)",
    ),
    (
        "select * from t join u using (a)",
        "a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone",
    ),
    (
        "select * from t natural join u",
        "a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone",
    ),
    (
        "select * from t full join u using (a)",
        "a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone",
    ),
    (
        "select * from t right join u using (a)",
        "a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone",
    ),
    ("select a from t left join u using (a)", "a bigint"),
    (
        "select a + 1, a - c, a || 'x', -a, a::text, a::text || b from t",
        "?column? integer, ?column? numeric, ?column? text, ?column? integer, a text, ?column? text",
    ),
    ("select a % 2.5 from t", "?column? numeric"),
    (
        "select 1 + null, 1.5 + 1, 1::int2 + 1::int8, 1::float4 + 1, 1 / 2.0",
        "?column? integer, ?column? numeric, ?column? bigint, ?column? double precision, ?column? numeric",
    ),
    ("select b || c from t", "?column? text"),
    (
        "select d || y, d = y, d = b, y = b from t, w",
        "?column? text, ?column? boolean, ?column? boolean, ?column? boolean",
    ),
    (
        "select e - e, e + 1, e < '2020-01-01', h > e from u",
        "?column? integer, ?column? date, ?column? boolean, ?column? boolean",
    ),
    ("select '2020-01-01'::date < h from u", "?column? boolean"),
    (
        "select z || 1, z || z, 1 || z from w",
        "?column? integer[], ?column? integer[], ?column? integer[]",
    ),
    (
        "select z = z, z = '{1}' from w",
        "?column? boolean, ?column? boolean",
    ),
    (
        "select count(*), count(t.a), sum(t.a), sum(u.a), avg(t.a), min(b), max(e), sum(f), avg(f), min(d), bool_and(g) from t, u",
        "count bigint, count bigint, sum bigint, sum numeric, avg numeric, min text, max date, sum double precision, avg double precision, min text, bool_and boolean",
    ),
    (
        "select sum(distinct a) filter (where a > 1) from t",
        "sum bigint",
    ),
    (
        "select array_agg(a), array_agg(b order by a desc), string_agg(b, ',') from t",
        "array_agg integer[], array_agg text[], string_agg text",
    ),
    (
        "select b, sum(a) from t group by b having sum(a) > 1 order by sum(a) desc",
        "b text, sum bigint",
    ),
    (
        "select b as x, count(*) from t group by x",
        "x text, count bigint",
    ),
    (
        "select a % 2 as m, count(*) from t group by m order by m",
        "m integer, count bigint",
    ),
    (
        "select a % 2 as m, count(*) from t group by 1 order by 2 desc",
        "m integer, count bigint",
    ),
    (
        "select a + 1 from t group by a + 1 order by a + 1",
        "?column? integer",
    ),
    ("select distinct b from t order by b", "b text"),
    (
        "select distinct b, a from t order by a",
        "b text, a integer",
    ),
    (
        "select case when a = 1 then 'x' end, coalesce(b, 'y'), exists(select 1), (select 7), (select 'q'), array(select a from t), array[1], true, null, 'x' from t",
        "case text, coalesce text, exists boolean, ?column? integer, ?column? text, array integer[], array integer[], ?column? boolean, ?column? text, ?column? text",
    ),
    (
        "select case when true then a else c end from t",
        "c numeric",
    ),
    (
        "select case a when 1 then b else d end from t",
        "d character varying",
    ),
    (
        "select case when true then 1 end as q, cast(1 as text), 1::int8, a::int8 from t",
        "q integer, text text, int8 bigint, a bigint",
    ),
    (
        r#"select b like 'a%', b not ilike d, b like 'a' escape '\' from t"#,
        "?column? boolean, ?column? boolean, ?column? boolean",
    ),
    (
        "select current_date, current_timestamp, now(), current_user",
        "current_date date, current_timestamp timestamp with time zone, now timestamp with time zone, current_user name",
    ),
    (
        "select extract(year from e), substring(b from 1 for 2), position('a' in b), trim(b), trim(leading 'x' from b) from u, t",
        "extract numeric, substring text, position integer, btrim text, ltrim text",
    ),
    (
        "select upper('a'), length(b), abs(a), abs('1'), round(1.5), round(c, 1), lower(d) from t",
        "upper text, length integer, abs integer, abs double precision, round numeric, round numeric, lower text",
    ),
    (
        "select h at time zone 'UTC', 'UTC' from u",
        "timezone timestamp without time zone, ?column? text",
    ),
    (
        "select pg_typeof(1), pg_typeof('x'), pg_typeof(null)",
        "pg_typeof regtype, pg_typeof regtype, pg_typeof regtype",
    ),
    (
        "select a, b from (select a, b from t) s",
        "a integer, b text",
    ),
    ("select a from (select 'x' as a) s", "a text"),
    (
        "select x from (values (1,'a'),(2,'b')) v(x, y)",
        "x integer",
    ),
    ("select column1 from (values (1),(2)) v", "column1 integer"),
    (
        "select * from (values (1,2)) v(x)",
        "x integer, column2 integer",
    ),
    (
        "with q as (select a, b from t) select * from q where a = 1",
        "a integer, b text",
    ),
    (
        "with q(x) as (select a from t) select x, q.x from q",
        "x integer, x integer",
    ),
    (
        "with q as (select a from t), r as (select a + 1 as a from q) select q.a, r.a from q join r on q.a = r.a",
        "a integer, a integer",
    ),
    (
        "with q as (select a from t) select (select max(q.a) from q where q.a < t.a) from t",
        "max integer",
    ),
    (
        "select (select u.e from u where u.a = t.a) from t",
        "e date",
    ),
    (
        "select a from t where exists (select 1 from u where u.a = t.a and b = 'x')",
        "a integer",
    ),
    ("select a from t where (select b) = 'x'", "a integer"),
    (
        "select a from t order by a nulls first, b desc limit 3 offset 1",
        "a integer",
    ),
    ("select a from t order by b, c + 1", "a integer"),
    ("select a as b from t order by b", "b integer"),
    ("select -a as a from t order by a", "a integer"),
    ("select -a as a from t order by a + 1", "a integer"),
    ("(select a from t order by b) limit 1", "a integer"),
    ("(select a from t) order by b", "a integer"),
    (
        "select 1 as a union all select 2.5 union all select 3",
        "a numeric",
    ),
    ("select null union select 1", "?column? integer"),
    ("select 'a' union select 'b'", "?column? text"),
    ("select null union select null", "?column? text"),
    ("select b from t union select d from t", "b text"),
    (
        "select d from t union select y from w",
        "d character varying",
    ),
    ("select a from t intersect select u.a from u", "a bigint"),
    (
        "select a, b from t except select a, 'x' from t",
        "a integer, b text",
    ),
    (
        "select 'tru'::boolean, '1'::int2, '{1,2}'::int[], '2020-02-30'::text",
        "bool boolean, int2 smallint, int4 integer[], text text",
    ),
    (
        "select 300::int2, 1.5::int, '1.5'::numeric, true::int, 1::boolean",
        "int2 smallint, int4 integer, numeric numeric, int4 integer, bool boolean",
    ),
    (
        "select b::int, b::date, a::varchar(3), a::char(3) from t",
        "b integer, b date, a character varying(3), a character(3)",
    ),
    (
        "select b from t group by t.b having t.b = 'x' order by t.b",
        "b text",
    ),
    ("select t.b || 'x' from t group by b", "?column? text"),
    (
        "select lower(b), count(*) from t group by lower(b) having count(*) > 1",
        "lower text, count bigint",
    ),
    (
        "select max(b) || 'x', a from t group by a",
        "?column? text, a integer",
    ),
    (
        "select int4('5'), text(5), int8(a), date('2020-01-01') from t",
        "int4 integer, text text, int8 bigint, date date",
    ),
    ("select pg_catalog.lower('X')", "lower text"),
    (
        "select row(1,'x') = row(1,'y'), row(1,2) is null",
        "?column? boolean, ?column? boolean",
    ),
    (r#"select 1 as "A b", 2 "x""#, "A b integer, x integer"),
    (
        "select a as from_t, t.a from t",
        "from_t integer, a integer",
    ),
    (
        "select (select (select t.b || u.e::text from w where w.x = t.a) from u where u.a = t.a) from t",
        "?column? text",
    ),
    (
        "select t.a, (select count(*) from u where u.a = t.a) n from t group by t.a having exists (select 1 from w where w.x = t.a)",
        "a integer, n bigint",
    ),
    (
        "select max(b), (select max(u.e) from u where u.a = t.a) from t group by a order by 2, max(c)",
        "max text, max date",
    ),
    (
        "select t.a from t, lateral (select u.a as q from u where u.a = t.a limit 1) s, lateral (select s.q + t.a as r) z where z.r > 1",
        "a integer",
    ),
    (
        "select * from t x left join lateral (select x.a, w.y from w where w.x = x.a) y on y.a = x.a",
        "a integer, b text, c numeric(10,2), d character varying(5), a integer, y character(3)",
    ),
    (
        "select (select y.b from t x, lateral (select x.b, u.a) y limit 1) from u",
        "b text",
    ),
    (
        "select (select z.e from w, (t cross join lateral (select u.e, t.a) z)) from u",
        "e date",
    ),
    (
        "select * from w, (t join lateral (select w.x, t.b) s on s.x = t.a)",
        "x integer, y character(3), z integer[], v smallint, a integer, b text, c numeric(10,2), d character varying(5), x integer, b text",
    ),
    (
        "select (with q as (select t.a as n) select sum(n) from q) from t",
        "sum bigint",
    ),
    (
        "with q as (select a from t) select (select (select max(q.a) from q) from u limit 1) from t",
        "max integer",
    ),
    (
        "select (with q as (select t.b as n) select (select n from q, w limit 1)) from t",
        "n text",
    ),
    (
        "select * from t full join u using (a) full join w on w.x = t.a where a > 1",
        "a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone, x integer, y character(3), z integer[], v smallint",
    ),
    (
        "select * from w join (t join u using (a)) on a = x",
        "x integer, y character(3), z integer[], v smallint, a bigint, b text, c numeric(10,2), d character varying(5), e date, f double precision, g boolean, h timestamp with time zone",
    ),
    (
        "select x.a from t x join u using (a) join t y using (a) where y.b = 'x'",
        "a integer",
    ),
    (
        "select distinct on (b) b, a + 1 from t order by b, c desc limit 2",
        "b text, ?column? integer",
    ),
    (
        "select distinct a % 2, count(*) from t group by a % 2, b",
        "?column? integer, count bigint",
    ),
    (
        "select generate_series(1, a) + 1 from t order by 1",
        "?column? integer",
    ),
    (
        "select b, generate_series(1, max(a)) from t group by b",
        "b text, generate_series integer",
    ),
    ("select unnest(z), x from w", "unnest integer, x integer"),
    (
        "select a from t where a = any (select a from u) and a <> all (select x from w)",
        "a integer",
    ),
    ("select a from t where a in (select v from w)", "a integer"),
    ("select a from t where b = any (array['x', d])", "a integer"),
    (
        "values (1, 'x'), (2, 'y') order by column1 + 1 limit 1",
        "column1 integer, column2 text",
    ),
    (
        "select a, b from t union all (select a, 'x' from u order by e limit 1) order by b desc, 1 offset 1",
        "a bigint, b text",
    ),
    (
        "insert into t(a, b) select x, y from w union select 1, 'z'",
        "",
    ),
    (
        "insert into t(b, a) select 'x', a from u order by e limit 1 returning b, a + 1",
        "b text, ?column? integer",
    ),
    ("insert into u values (1), (2)", ""),
    ("insert into t(b, a) select 'x', a from u limit 1", ""),
    (
        "select 'x' as c, null as d union select b, c from t order by 1",
        "c text, d numeric",
    ),
    ("insert into w(z) values ('{1,2}'), (array[1])", ""),
    (
        "with q as (select * from t) insert into t select a + 1, b from q",
        "",
    ),
    (
        "update t set b = (select max(e) from u where u.a = t.a)::text, c = s.n from (select x, count(*) n from w group by x) s where s.x = t.a returning t.a, s.n",
        "a integer, n bigint",
    ),
    (
        "delete from t x using u, w where x.a = u.a and w.x = u.a returning x.*, w.y",
        "a integer, b text, c numeric(10,2), d character varying(5), y character(3)",
    ),
    (
        "select a from t where exists (select 1 from u where u.a = t.a for update)",
        "a integer",
    ),
    (
        "select b, d from t for no key update of t",
        "b text, d character varying(5)",
    ),
    (
        "select case (select 1) when 1 then b end from t",
        "case text",
    ),
    (
        "select count(*) from (select a from t order by b limit 3) s",
        "count bigint",
    ),
    ("select sum(x) from (values (1), (2.5)) v(x)", "sum numeric"),
    (
        "select a from t where (a, b) in ((1, 'x'), (2, 'y'))",
        "a integer",
    ),
    (
        "select z[1] is null from (select '{1}'::int[] z) q where false or z is not null",
        "?column? boolean",
    ),
    (
        "select g, n from generate_series(1, 3) with ordinality as q(g, n), t where n = a",
        "g integer, n bigint",
    ),
    ("select upper(s) from upper('x') s", "upper text"),
    (
        "select current_schema, version() from now()",
        "current_schema name, version text",
    ),
    (
        "select relname, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where relkind in ('r', 'i') and n.nspname !~ '^pg_' and pg_catalog.pg_table_is_visible(c.oid) order by 1, 2",
        "relname name, nspname name",
    ),
    (
        "select a from t where b = 'x' group by a order by b",
        "a integer",
    ),
    ("select sum((select a)) from t", "sum bigint"),
    ("insert into t as q values (1) returning q.a", "a integer"),
    ("update t set a = 1.5", ""),
    (
        "select c % 2, f ^ 2, 5 ^ 2, |/ f from t, u",
        "?column? numeric, ?column? double precision, ?column? double precision, ?column? double precision",
    ),
    (
        "select f || 'x', g || 'x', e || '' from u",
        "?column? text, ?column? text, ?column? text",
    ),
    (
        "select 't'::regclass, 1::regclass, 't'::regclass::oid",
        "regclass regclass, regclass regclass, oid oid",
    ),
    (
        "select coalesce(b, d), coalesce(d, 'x'), coalesce(null, null), coalesce(v, x, 1.5) from t, w",
        "coalesce text, coalesce character varying, coalesce text, coalesce numeric",
    ),
    (
        "select greatest(d, y), nullif(b, d), nullif('a', 'b') from t, w",
        "greatest character varying, nullif text, nullif text",
    ),
    (
        "select stddev(a), variance(c), bool_or(true), every(false) from t",
        "stddev numeric, variance numeric, bool_or boolean, every boolean",
    ),
    (
        "select a = 1.5, a < 2::bigint, v = 1, v = 100000 from t, w",
        "?column? boolean, ?column? boolean, ?column? boolean, ?column? boolean",
    ),
    (
        "select d || null, null || 'x', 'x' || null::text from t",
        "?column? text, ?column? text, ?column? text",
    ),
    (
        "select lower(null), length('x'), length(null)",
        "lower text, length integer, length integer",
    ),
    (
        "select substring(b, 2), substr(b, 1, 2), left(b, 2), replace(b, 'a', 'b') from t",
        "substring text, substr text, left text, replace text",
    ),
    (
        "select mod(a, 2), power(a, 2), sqrt(4), power(2, 3.0) from t",
        "mod integer, power double precision, sqrt double precision, power numeric",
    ),
    (
        "select array_length(z, 1), cardinality(z), array_append(z, 1), z || '{2}' from w",
        "array_length integer, cardinality integer, array_append integer[], ?column? integer[]",
    ),
    ("select unnest(array['a', 'b'])", "unnest text"),
    ("select generate_series('1', 2)", "generate_series integer"),
    ("select 1 where 't'", "?column? integer"),
    ("select 1 limit -1", "?column? integer"),
    ("select 1 limit null offset null", "?column? integer"),
    (
        "select distinct on (1) a, b from t order by 1",
        "a integer, b text",
    ),
    ("select a from t order by 'x' || b", "a integer"),
    ("select a, b from t group by a, 1", "a integer, b text"),
    ("(select a from t limit 1) order by a", "a integer"),
    ("select s.* from (select 1) s", "?column? integer"),
    (r#"select "?column?" from (select 1) s"#, "?column? integer"),
    (
        "select x.y from (select 1 as y) x, (select 2 as y) y",
        "y integer",
    ),
    ("select * from lower('X') as l", "l text"),
    (
        "with q as (select 1 as a) select * from q, t where q.a = t.a",
        "a integer, a integer, b text, c numeric(10,2), d character varying(5)",
    ),
    ("select (select x from w where y = b) from t", "x integer"),
    ("select a = all (null) from t", "?column? boolean"),
    ("select case when true then 'x' else 'y' end", "case text"),
    (
        "select case when true then e else h end from u",
        "h timestamp with time zone",
    ),
    (
        "select array[1, null], array[null], array['x', b], array[a, c] from t",
        "array integer[], array text[], array text[], array numeric[]",
    ),
    (
        "select current_database(), session_user, pg_backend_pid()",
        "current_database name, session_user name, pg_backend_pid integer",
    ),
    ("select extract(nosuch from e) from u", "extract numeric"),
    (
        "select b ~ 'x', b !~* d from t",
        "?column? boolean, ?column? boolean",
    ),
    (
        r#"select b collate "default" < d from t"#,
        "?column? boolean",
    ),
    (
        "select 1.5::int2, 70000::int2",
        "int2 smallint, int2 smallint",
    ),
    ("select 3000000000::int4", "int4 integer"),
    ("select -32768::int2", "?column? smallint"),
    (
        "select 1::bool, 0::bool, 'yes'::bool, 2::bool::int",
        "bool boolean, bool boolean, bool boolean, int4 integer",
    ),
    (
        "select null::int + null, null is null, null = 1",
        "?column? integer, ?column? boolean, ?column? boolean",
    ),
    (
        "select b = null, null <> a from t",
        "?column? boolean, ?column? boolean",
    ),
    ("select a between null and 2 from t", "?column? boolean"),
    ("select 1 as a from t order by t.a", "a integer"),
    (
        "select relname::text, oid, relkind from pg_class where relname = 't'",
        r#"relname text, oid oid, relkind "char""#,
    ),
    (
        "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 't'::regclass and attnum > 0",
        "attname name, format_type text",
    ),
    (
        "select array_agg(x order by y) filter (where v > 0) from w",
        "array_agg integer[]",
    ),
    (
        "select max(y), sum(v), avg(v), count(z), max(d) from t, w",
        "max bpchar, sum bigint, avg numeric, count bigint, max text",
    ),
];

pub(super) const ERRORS: &[(&str, &str)] = &[
    ("select * from t_b", r#"42809 "t_b" is an index @15"#),
    (
        "select * from nosuch.t",
        r#"42P01 relation "nosuch.t" does not exist @15"#,
    ),
    (
        "select * from a.b.c.d",
        "42601 improper qualified name (too many dotted names): a.b.c.d @15",
    ),
    (
        "select * from x.public.t",
        r#"0A000 cross-database references are not implemented: "x.public.t" @15"#,
    ),
    (
        "select 1 from t, t",
        r#"42712 table name "t" specified more than once"#,
    ),
    ("select zz from t", r#"42703 column "zz" does not exist @8"#),
    ("select t.zz from t", "42703 column t.zz does not exist @8"),
    (
        "select x.zz from t",
        r#"42P01 missing FROM-clause entry for table "x" @8"#,
    ),
    (
        "select a from t, u",
        r#"42702 column reference "a" is ambiguous @8"#,
    ),
    (
        "select * from t join u using (zz)",
        r#"42703 column "zz" specified in USING clause does not exist in left table"#,
    ),
    (
        "select * from t join u using (b)",
        r#"42703 column "b" specified in USING clause does not exist in right table"#,
    ),
    (
        "select b from t group by a+1",
        r#"42803 column "t.b" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select a+1, t.b from t group by a+1",
        r#"42803 column "t.b" must appear in the GROUP BY clause or be used in an aggregate function @13"#,
    ),
    (
        "select e, count(*) from u group by 3",
        "42P10 GROUP BY position 3 is not in select list @36",
    ),
    (
        "select e from u order by 3",
        "42P10 ORDER BY position 3 is not in select list @26",
    ),
    (
        "select e from u order by 'x'",
        "42601 non-integer constant in ORDER BY @26",
    ),
    (
        "select distinct e from u order by a",
        "42P10 for SELECT DISTINCT, ORDER BY expressions must appear in select list @35",
    ),
    (
        "select distinct on (e) e from u order by a",
        "42P10 SELECT DISTINCT ON expressions must match initial ORDER BY expressions @21",
    ),
    (
        "select count(*) from u where count(*) > 1",
        "42803 aggregate functions are not allowed in WHERE @30",
    ),
    (
        "select sum(count(*)) from u",
        "42803 aggregate function calls cannot be nested @12",
    ),
    (
        "select 1 + 'x'",
        r#"22P02 invalid input syntax for type integer: "x" @12"#,
    ),
    (
        "select 1 + b from t",
        "42883 operator does not exist: integer + text @10",
    ),
    (
        "select foo(1, 'a', b) from t",
        "42883 function foo(integer, unknown, text) does not exist @8",
    ),
    (
        "select cast(true as date)",
        "42846 cannot cast type boolean to date @8",
    ),
    (
        "select case when true then 1 else 'x' end",
        r#"22P02 invalid input syntax for type integer: "x" @35"#,
    ),
    (
        "select case when true then 1 else b end from t",
        "42804 CASE types text and integer cannot be matched @28",
    ),
    (
        "select case a when 'q' then 1 end from t",
        r#"22P02 invalid input syntax for type integer: "q" @20"#,
    ),
    (
        "select 1 union select 'x'",
        r#"22P02 invalid input syntax for type integer: "x" @23"#,
    ),
    (
        "select 1 union select b from t",
        "42804 UNION types integer and text cannot be matched @23",
    ),
    (
        "select 1 union select 1,2",
        "42601 each UNION query must have the same number of columns @23",
    ),
    (
        "select 'a' union select 1",
        r#"22P02 invalid input syntax for type integer: "a" @8"#,
    ),
    (
        "insert into t values (1,2,3,4,5)",
        "42601 INSERT has more expressions than target columns @31",
    ),
    (
        "insert into t(a,b) values (1)",
        "42601 INSERT has more target columns than expressions @17",
    ),
    (
        "insert into t(a,a) values (1,2)",
        r#"42701 column "a" specified more than once @17"#,
    ),
    (
        "insert into t(zz) values (1)",
        r#"42703 column "zz" of relation "t" does not exist @15"#,
    ),
    (
        "insert into t(a) values ('x')",
        r#"22P02 invalid input syntax for type integer: "x" @26"#,
    ),
    (
        "insert into t(a) values (now())",
        r#"42804 column "a" is of type integer but expression is of type timestamp with time zone @26"#,
    ),
    (
        "insert into t(a) select now()",
        r#"42804 column "a" is of type integer but expression is of type timestamp with time zone @25"#,
    ),
    (
        "insert into t(a) select 'x'",
        r#"22P02 invalid input syntax for type integer: "x" @25"#,
    ),
    (
        "insert into t(a) values (1),(1,2)",
        "42601 VALUES lists must all be the same length @30",
    ),
    (
        "insert into nosuch values (1)",
        r#"42P01 relation "nosuch" does not exist @13"#,
    ),
    (
        "values (1),(2,3)",
        "42601 VALUES lists must all be the same length @13",
    ),
    (
        "values (1),('x')",
        r#"22P02 invalid input syntax for type integer: "x" @13"#,
    ),
    (
        "values (1),(true)",
        "42804 VALUES types integer and boolean cannot be matched @13",
    ),
    (
        "update t set zz = 1",
        r#"42703 column "zz" of relation "t" does not exist @14"#,
    ),
    (
        "update t set a=1, a=2",
        r#"42601 multiple assignments to same column "a""#,
    ),
    (
        "update t set a = now()",
        r#"42804 column "a" is of type integer but expression is of type timestamp with time zone @18"#,
    ),
    (
        "update t set a = 1 from t",
        r#"42712 table name "t" specified more than once"#,
    ),
    (
        "update t x set a = t.a",
        r#"42P01 invalid reference to FROM-clause entry for table "t" @20"#,
    ),
    (
        "update t set a = count(*)",
        "42803 aggregate functions are not allowed in UPDATE @18",
    ),
    (
        "delete from t where a",
        "42804 argument of WHERE must be type boolean, not type integer @21",
    ),
    (
        "delete from t where zz",
        r#"42703 column "zz" does not exist @21"#,
    ),
    (
        "delete from t returning sum(a)",
        "42803 aggregate functions are not allowed in RETURNING @25",
    ),
    (
        "select * from t limit a",
        "42P10 argument of LIMIT must not contain variables @23",
    ),
    (
        "select * from t limit 'x'",
        r#"22P02 invalid input syntax for type bigint: "x" @23"#,
    ),
    (
        "select * from t limit true",
        "42804 argument of LIMIT must be type bigint, not type boolean @23",
    ),
    (
        "select from t where b",
        "42804 argument of WHERE must be type boolean, not type text @21",
    ),
    (
        "select * from t x, lateral (select t.a) y",
        r#"42P01 invalid reference to FROM-clause entry for table "t" @36"#,
    ),
    (
        "select * from t x, (select x.a) y",
        r#"42P01 invalid reference to FROM-clause entry for table "x" @28"#,
    ),
    (
        "select * from t x right join lateral (select x.a) y on true",
        r#"42P10 invalid reference to FROM-clause entry for table "x" @46"#,
    ),
    (
        "select * from u, t join u z on u.a = z.a",
        r#"42P01 invalid reference to FROM-clause entry for table "u" @32"#,
    ),
    (
        "select * from t as x(p,q,r,s,t)",
        r#"42P10 table "x" has 4 columns available but 5 columns specified"#,
    ),
    (
        "select generate_series(1,2) from t where generate_series(1,2)=1",
        "0A000 set-returning functions are not allowed in WHERE @42",
    ),
    (
        "select array[]",
        "42P18 cannot determine type of empty array @8",
    ),
    (
        "select array[1,'x']",
        r#"22P02 invalid input syntax for type integer: "x" @16"#,
    ),
    (
        "select array[1,true]",
        "42804 ARRAY types integer and boolean cannot be matched @16",
    ),
    (
        "select a[1] from t",
        "42804 cannot subscript type integer because it does not support subscripting @8",
    ),
    (
        "select z['x'] from w",
        r#"22P02 invalid input syntax for type integer: "x" @10"#,
    ),
    (
        "select count()",
        "42809 count(*) must be used to call a parameterless aggregate function @8",
    ),
    (
        "select lower(distinct 'a')",
        "42809 DISTINCT specified, but lower is not an aggregate function @8",
    ),
    (
        "select lower('a') filter (where true)",
        "42809 FILTER specified, but lower is not an aggregate function @8",
    ),
    (
        "select upper(1)",
        "42883 function upper(integer) does not exist @8",
    ),
    (
        "select 1 = any (2)",
        "42809 op ANY/ALL (array) requires array on right side @10",
    ),
    (
        "select 1 = any ('{1,x}')",
        r#"22P02 invalid input syntax for type integer: "x" @17"#,
    ),
    (
        "select 1 in ('x')",
        r#"22P02 invalid input syntax for type integer: "x" @14"#,
    ),
    (
        "select a in (1,'x') from t",
        r#"22P02 invalid input syntax for type integer: "x" @16"#,
    ),
    (
        "select a in (1, true) from t",
        "42883 operator does not exist: integer = boolean @10",
    ),
    (
        "select (1,2) = (1,2,3)",
        "42601 unequal number of entries in row expressions @14",
    ),
    (
        "select (select 1,2)",
        "42601 subquery must return only one column @8",
    ),
    (
        "select 1 in (select 1,2)",
        "42601 subquery has too many columns @10",
    ),
    (
        "select 1 in (select b from t)",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select not 1",
        "42804 argument of NOT must be type boolean, not type integer @12",
    ),
    (
        "select 1 and true",
        "42804 argument of AND must be type boolean, not type integer @8",
    ),
    (
        "select a as x, b as x from t order by x",
        r#"42702 ORDER BY "x" is ambiguous @39"#,
    ),
    (
        "select count(*) from t for update",
        "0A000 FOR UPDATE is not allowed with aggregate functions",
    ),
    (
        "select distinct a from t for update",
        "0A000 FOR UPDATE is not allowed with DISTINCT clause",
    ),
    (
        "select a from t for update of zz",
        r#"42P01 relation "zz" in FOR UPDATE clause not found in FROM clause @31"#,
    ),
    (
        "select 1 union select 2 for update",
        "0A000 FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT",
    ),
    (
        "select a from t union select a from u order by a+1",
        "0A000 invalid UNION/INTERSECT/EXCEPT ORDER BY clause @48",
    ),
    (
        "select a from t order by sum(a)",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select a, (select t.b) from t group by a+0",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select (select t.b) from t group by a+0",
        r#"42803 subquery uses ungrouped column "t.b" from outer query @16"#,
    ),
    (
        "select 'a'::varchar(0)",
        "22023 length for type varchar must be at least 1 @13",
    ),
    (
        "select 1::numeric(0)",
        "22023 NUMERIC precision 0 must be between 1 and 1000 @11",
    ),
    ("select 1::foo", r#"42704 type "foo" does not exist @11"#),
    (
        "select 1::int4(3)",
        r#"42601 type modifier is not allowed for type "int4" @11"#,
    ),
    (
        "select coalesce(1,'x')",
        r#"22P02 invalid input syntax for type integer: "x" @19"#,
    ),
    (
        "select coalesce(1,true)",
        "42804 COALESCE types integer and boolean cannot be matched @19",
    ),
    (
        "select greatest(a, 'x') from t",
        r#"22P02 invalid input syntax for type integer: "x" @20"#,
    ),
    (
        "select nullif(1,'x')",
        r#"22P02 invalid input syntax for type integer: "x" @17"#,
    ),
    (
        "select nullif(1,true)",
        "42883 operator does not exist: integer = boolean @8",
    ),
    (
        "select 1 is distinct from true",
        "42883 operator does not exist: integer = boolean @10",
    ),
    (
        r#"select a collate "C" from t"#,
        "42804 collations are not supported by type integer @10",
    ),
    (
        r#"select b collate "foo" from t"#,
        r#"42704 collation "foo" for encoding "UTF8" does not exist @10"#,
    ),
    (
        "select a.b.c from t",
        r#"42P01 missing FROM-clause entry for table "b" @8"#,
    ),
    (
        "select public.t.zz from t",
        "42703 column t.zz does not exist @8",
    ),
    (
        r#"select "a" from t having true"#,
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select max(a) from t having b = 'x'",
        r#"42803 column "t.b" must appear in the GROUP BY clause or be used in an aggregate function @29"#,
    ),
    (
        "select 1 from t where a = '1x'",
        r#"22P02 invalid input syntax for type integer: "1x" @27"#,
    ),
    (
        "select *",
        "42601 SELECT * with no tables specified is not valid @8",
    ),
    (
        "select x.* from t",
        r#"42P01 missing FROM-clause entry for table "x" @8"#,
    ),
    (
        "select t.a, u.a from t join u using (a) order by a",
        r#"42702 ORDER BY "a" is ambiguous @50"#,
    ),
    (
        "select a + b from t",
        "42883 operator does not exist: integer + text @10",
    ),
    (
        "select a = b from t",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select true + 1",
        "42883 operator does not exist: boolean + integer @13",
    ),
    (
        "select - b from t",
        "42883 operator does not exist: - text @8",
    ),
    (
        "select ~ b from t",
        "42883 operator does not exist: ~ text @8",
    ),
    (
        "select 'a' || 'b', 'a' || 1, 1 || 'a', 'a' = 'b', null = null, null + null",
        "42725 operator is not unique: unknown + unknown @69",
    ),
    (
        "select '1' + '2'",
        "42725 operator is not unique: unknown + unknown @12",
    ),
    (
        "select e < 'foo' from u",
        r#"22007 invalid input syntax for type date: "foo" @12"#,
    ),
    (
        "select z = array[1.5] from w",
        "42883 operator does not exist: integer[] = numeric[] @10",
    ),
    (
        "select count(*), count(a), sum(a), avg(a), min(b), max(e), sum(f) from t, u",
        r#"42702 column reference "a" is ambiguous @24"#,
    ),
    (
        "select sum(b) from t",
        "42883 function sum(text) does not exist @8",
    ),
    (
        "select array_agg(distinct b order by a) from t",
        "42P10 in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list @38",
    ),
    (
        "select a + 2 from t group by a + 1",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select case when 1 then 2 end",
        "42804 argument of CASE/WHEN must be type boolean, not type integer @18",
    ),
    (
        "select a between 1 and 2.5, a not between symmetric 1 and 3, a is null, a is not null, g is true, g is not unknown from t, u",
        r#"42702 column reference "a" is ambiguous @8"#,
    ),
    (
        "select a is true from t",
        "42804 argument of IS TRUE must be type boolean, not type integer @8",
    ),
    (
        "select a between 'x' and 2 from t",
        r#"22P02 invalid input syntax for type integer: "x" @18"#,
    ),
    (
        "select a like 'x' from t",
        "42883 operator does not exist: integer ~~ unknown @10",
    ),
    (
        "select round('x')",
        r#"22P02 invalid input syntax for type double precision: "x" @14"#,
    ),
    (
        "select length(a) from t",
        "42883 function length(integer) does not exist @8",
    ),
    (
        "select s.zz from (select a, b from t) s",
        "42703 column s.zz does not exist @8",
    ),
    (
        "select * from (select 1, 2) v(x, y, z)",
        r#"42P10 table "v" has 2 columns available but 3 columns specified"#,
    ),
    (
        "with q(x, y, z) as (select a from t) select x from q",
        r#"42P10 WITH query "q" has 1 columns available but 3 columns specified @6"#,
    ),
    (
        "with q as (select 1), q as (select 2) select 1",
        r#"42712 WITH query name "q" specified more than once @23"#,
    ),
    (
        "with q as (select zz from t) select 1",
        r#"42703 column "zz" does not exist @19"#,
    ),
    (
        "select a from t where a in (select a from u where zz = 1)",
        r#"42703 column "zz" does not exist @51"#,
    ),
    (
        "(select a from t order by a) order by b",
        "42601 multiple ORDER BY clauses not allowed @39",
    ),
    (
        "select a from t union select e from u",
        "42804 UNION types integer and date cannot be matched @30",
    ),
    (
        "select e + e from u",
        "42883 operator does not exist: date + date @10",
    ),
    (
        "select b + 1 from t",
        "42883 operator does not exist: text + integer @10",
    ),
    (
        "select 'abc'::int",
        r#"22P02 invalid input syntax for type integer: "abc" @8"#,
    ),
    (
        "select 'abc'::boolean",
        r#"22P02 invalid input syntax for type boolean: "abc" @8"#,
    ),
    (
        "select '2020-02-30'::date",
        r#"22008 date/time field value out of range: "2020-02-30" @8"#,
    ),
    (
        "select 1.5::boolean",
        "42846 cannot cast type numeric to boolean @11",
    ),
    (
        "select e::int from u",
        "42846 cannot cast type date to integer @9",
    ),
    (
        "select 1 from t where true and a",
        "42804 argument of AND must be type boolean, not type integer @32",
    ),
    (
        "select 1 from t join u on t.a",
        "42804 argument of JOIN/ON must be type boolean, not type integer @27",
    ),
    (
        "select 1 from t join u on t.a = u.a and b = e",
        "42883 operator does not exist: text = date @43",
    ),
    (
        "select 1 from t join u on sum(t.a) = 1",
        "42803 aggregate functions are not allowed in JOIN conditions @27",
    ),
    (
        "select 1 group by sum(1)",
        "42803 aggregate functions are not allowed in GROUP BY @19",
    ),
    (
        "select count(*) filter (where a) from t",
        "42804 argument of FILTER must be type boolean, not type integer @31",
    ),
    (
        "select count(*) filter (where count(*) > 1) from t",
        "42803 aggregate functions are not allowed in FILTER @31",
    ),
    (
        "select count(a, b) from t",
        "42883 function count(integer, text) does not exist @8",
    ),
    (
        "select t.a.b from t",
        r#"42P01 missing FROM-clause entry for table "a" @8"#,
    ),
    (
        "select nosuch.lower('X')",
        r#"3F000 schema "nosuch" does not exist @8"#,
    ),
    (
        "select a from only_t",
        r#"42P01 relation "only_t" does not exist @15"#,
    ),
    (
        "select exists(select 1 from nosuch)",
        r#"42P01 relation "nosuch" does not exist @29"#,
    ),
    (
        "select 1 where 1",
        "42804 argument of WHERE must be type boolean, not type integer @16",
    ),
    (
        "select count(*) from t order by a",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @33"#,
    ),
    (
        "select b from t group by b order by count(*), a",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @47"#,
    ),
    (
        "select 1 from t group by a + b",
        "42883 operator does not exist: integer + text @28",
    ),
    (
        "select a, sum(c) from t group by a + 0",
        r#"42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function @8"#,
    ),
    (
        "select sum(a) + b from t",
        "42883 operator does not exist: bigint + text @15",
    ),
    (
        "select sum(a) from t where sum(a) > 1",
        "42803 aggregate functions are not allowed in WHERE @28",
    ),
    (
        "select (select sum(x) from w where x = a) from t group by b",
        r#"42803 subquery uses ungrouped column "t.a" from outer query @40"#,
    ),
    (
        "select array_agg(sum(a)) from t",
        "42803 aggregate function calls cannot be nested @18",
    ),
    (
        "select nosuch from t order by nosuch",
        r#"42703 column "nosuch" does not exist @8"#,
    ),
    (
        "select a b c from t",
        r#"42601 syntax error at or near "c" @12"#,
    ),
    (
        "select min(a, b) from t",
        "42883 function min(integer, text) does not exist @8",
    ),
    (
        "select t.a from t as z",
        r#"42P01 invalid reference to FROM-clause entry for table "t" @8"#,
    ),
    (
        "select a from t, lateral (select zz) s",
        r#"42703 column "zz" does not exist @34"#,
    ),
    (
        "select * from t left join u on t.a = u.a where u.zz = 1",
        "42703 column u.zz does not exist @48",
    ),
    (
        "select * from (t join u on true) join w on zz = 1",
        r#"42703 column "zz" does not exist @44"#,
    ),
    (
        "select * from t join u using (a, a)",
        r#"42701 column name "a" appears more than once in USING clause"#,
    ),
    (
        "select * from t x join t y using (a) join u using (b)",
        r#"42702 common column name "b" appears more than once in left table"#,
    ),
    (
        "select 1 from t join u on a = 1",
        r#"42702 column reference "a" is ambiguous @27"#,
    ),
    (
        "insert into t select * from u",
        "42601 INSERT has more expressions than target columns @22",
    ),
    (
        "insert into t(a) select a, b from t",
        "42601 INSERT has more expressions than target columns @28",
    ),
    (
        "insert into t values (1), (2, 'x')",
        "42601 VALUES lists must all be the same length @28",
    ),
    (
        "insert into t(a, b) values (1, 2, 3)",
        "42601 INSERT has more expressions than target columns @35",
    ),
    (
        "insert into t values (a)",
        r#"42703 column "a" does not exist @23"#,
    ),
    (
        "insert into t values (1) returning zz",
        r#"42703 column "zz" does not exist @36"#,
    ),
    (
        "insert into t values (1) returning t.a, u.a",
        r#"42P01 missing FROM-clause entry for table "u" @41"#,
    ),
    (
        "insert into t as q values (1) returning t.a",
        r#"42P01 invalid reference to FROM-clause entry for table "t" @41"#,
    ),
    (
        "insert into t select 1 from t limit a",
        "42P10 argument of LIMIT must not contain variables @37",
    ),
    (
        "update t set a = default, b = 'x' where zz",
        r#"42703 column "zz" does not exist @41"#,
    ),
    (
        "update t set a = 'x'",
        r#"22P02 invalid input syntax for type integer: "x" @18"#,
    ),
    (
        "update t set a = b",
        r#"42804 column "a" is of type integer but expression is of type text @18"#,
    ),
    (
        "update t set a = 1 where a = 'y'",
        r#"22P02 invalid input syntax for type integer: "y" @30"#,
    ),
    (
        "update nosuch set a = 1",
        r#"42P01 relation "nosuch" does not exist @8"#,
    ),
    (
        "update t set a = 1 returning u.a",
        r#"42P01 missing FROM-clause entry for table "u" @30"#,
    ),
    (
        "delete from nosuch",
        r#"42P01 relation "nosuch" does not exist @13"#,
    ),
    (
        "delete from t where t.zz = 1",
        "42703 column t.zz does not exist @21",
    ),
    (
        "delete from t x where t.a = 1",
        r#"42P01 invalid reference to FROM-clause entry for table "t" @23"#,
    ),
    (
        "delete from t using t",
        r#"42712 table name "t" specified more than once"#,
    ),
    (
        "select 'x'::int4[], '{1,x}'::int4[]",
        r#"22P02 malformed array literal: "x" @8"#,
    ),
    (
        "select e + 1.5 from u",
        "42883 operator does not exist: date + numeric @10",
    ),
    (
        "select g + 1 from u",
        "42883 operator does not exist: boolean + integer @10",
    ),
    (
        "select not b from t",
        "42804 argument of NOT must be type boolean, not type text @12",
    ),
    (
        "select b is true from t",
        "42804 argument of IS TRUE must be type boolean, not type text @8",
    ),
    (
        "select f % 2 from u",
        "42883 operator does not exist: double precision % integer @10",
    ),
    (
        "select string_agg(a, ',') from t",
        "42883 function string_agg(integer, unknown) does not exist @8",
    ),
    (
        "select string_agg(b) from t",
        "42883 function string_agg(text) does not exist @8",
    ),
    (
        "select a = '1', a = '1.5' from t",
        r#"22P02 invalid input syntax for type integer: "1.5" @21"#,
    ),
    (
        "select abs('x')",
        r#"22P02 invalid input syntax for type double precision: "x" @12"#,
    ),
    (
        "select substring(a, 2) from t",
        "42883 function substring(integer, integer) does not exist @8",
    ),
    (
        "select concat(1, 'x', null, e), concat_ws(',', a, b) from t, u",
        r#"42702 column reference "a" is ambiguous @48"#,
    ),
    (
        "select round(f), round(c), round(a), ceil(a), floor(c) from t, u",
        r#"42702 column reference "a" is ambiguous @34"#,
    ),
    (
        "select array_append(z, 'x') from w",
        r#"22P02 invalid input syntax for type integer: "x" @24"#,
    ),
    (
        "select array_length(null, 1)",
        "42804 could not determine polymorphic type because input has type unknown",
    ),
    (
        "select generate_series(1, 2, b) from t",
        "42883 function generate_series(integer, integer, text) does not exist @8",
    ),
    (
        "select 1 where 'x'",
        r#"22P02 invalid input syntax for type boolean: "x" @16"#,
    ),
    (
        "select 1 offset 'a'",
        r#"22P02 invalid input syntax for type bigint: "a" @17"#,
    ),
    (
        "select count(*) c from t having c > 1",
        r#"42803 column "t.c" must appear in the GROUP BY clause or be used in an aggregate function @33"#,
    ),
    (
        "select b as c2, count(*) from t group by c2 having c2 = 'x'",
        r#"42703 column "c2" does not exist @52"#,
    ),
    (
        "select distinct on (3) a, b from t",
        "42P10 DISTINCT ON position 3 is not in select list @21",
    ),
    (
        "select distinct on (a + b) a from t",
        "42883 operator does not exist: integer + text @23",
    ),
    (
        "select a from t order by 1.5",
        "42601 non-integer constant in ORDER BY @26",
    ),
    (
        "select a from t order by -1",
        "42P10 ORDER BY position -1 is not in select list @26",
    ),
    (
        "select a from t union select b from t order by a",
        "42804 UNION types integer and text cannot be matched @30",
    ),
    (
        "select a from t union select 1 order by b",
        r#"42703 column "b" does not exist @41"#,
    ),
    (
        "select a, b from t union select a from t",
        "42601 each UNION query must have the same number of columns @33",
    ),
    (
        "select a from t intersect select b from t",
        "42804 INTERSECT types integer and text cannot be matched @34",
    ),
    (
        "(select a from t limit 1) limit 2",
        "42601 multiple LIMIT clauses not allowed @33",
    ),
    (
        "select * from (select a, a from t) s where a = 1",
        r#"42702 column reference "a" is ambiguous @44"#,
    ),
    (
        "select y from (select 1 as y) x, (select 2 as y) y",
        r#"42702 column reference "y" is ambiguous @8"#,
    ),
    (
        "select 1 from (select 1) s, (select 2) s",
        r#"42712 table name "s" specified more than once"#,
    ),
    (
        "select * from generate_series(1, 3) g(a, b)",
        r#"42P10 table "g" has 1 columns available but 2 columns specified"#,
    ),
    (
        "select * from sum(1)",
        "42803 aggregate functions are not allowed in functions in FROM @15",
    ),
    (
        "select * from nosuch(1)",
        "42883 function nosuch(integer) does not exist @15",
    ),
    (
        "select * from upper(1)",
        "42883 function upper(integer) does not exist @15",
    ),
    (
        "with q as (select 1) select * from public.q",
        r#"42P01 relation "public.q" does not exist @36"#,
    ),
    (
        "select (select a from t, u)",
        r#"42702 column reference "a" is ambiguous @16"#,
    ),
    (
        "select exists (select zz from t)",
        r#"42703 column "zz" does not exist @23"#,
    ),
    (
        "select 1 in (select x, y from w)",
        "42601 subquery has too many columns @10",
    ),
    (
        "select a = (select 'x') from t",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select a = any (select b from t) from t",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select b = any (z) from t, w",
        "42883 operator does not exist: text = integer @10",
    ),
    (
        "select a = any ('x') from t",
        r#"22P02 malformed array literal: "x" @17"#,
    ),
    (
        "select a = any (array['1', '2']) from t",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select a + any (z) from t, w",
        "42809 op ANY/ALL (array) requires operator to yield boolean @10",
    ),
    (
        "select case when a then 1 end from t",
        "42804 argument of CASE/WHEN must be type boolean, not type integer @18",
    ),
    (
        "select case when true then a else b end from t",
        "42804 CASE types text and integer cannot be matched @28",
    ),
    (
        "select cast('x' as nosuch), 1",
        r#"42704 type "nosuch" does not exist @20"#,
    ),
    (
        "select cast(1 as int[])",
        "42846 cannot cast type integer to integer[] @8",
    ),
    (
        "select '{1}'::int, 1",
        r#"22P02 invalid input syntax for type integer: "{1}" @8"#,
    ),
    (
        "select array[1] || array['x']",
        "42883 operator does not exist: integer[] || text[] @17",
    ),
    (
        "select row(1, 2) = row(1)",
        "42601 unequal number of entries in row expressions @18",
    ),
    (
        "select row(1) = 1",
        "42883 operator does not exist: record = integer @15",
    ),
    (
        "select (1, b) = (1, 2) from t",
        "42883 operator does not exist: text = integer @15",
    ),
    (
        "select 1 = all (select 'x')",
        "42883 operator does not exist: integer = text @10",
    ),
    (
        "select a ~ 'x' from t",
        "42883 operator does not exist: integer ~ unknown @10",
    ),
    (
        "select 0x, 1",
        r#"42601 trailing junk after numeric literal at or near "0x" @8"#,
    ),
    (
        "select '99999999999'::int4",
        r#"22003 value "99999999999" is out of range for type integer @8"#,
    ),
    (
        "select t.a as x from t order by x + 1",
        r#"42703 column "x" does not exist @33"#,
    ),
];
