//! Malformed bytes: the connection that sends them may end, every other session goes on.

use crate::common::raw::{Message, Raw, field, kinds, message};
use crate::common::{Engine, Server};

/// A second session that must stay well.
struct Bystander(Raw);

impl Bystander {
    fn new(server: &Server) -> Bystander {
        let mut raw = Raw::session(server.port);
        raw.query("CREATE TABLE IF NOT EXISTS t (n integer)")
            .unwrap();
        raw.query("BEGIN; INSERT INTO t VALUES (1)").unwrap();
        Bystander(raw)
    }

    #[track_caller]
    fn is_well(&mut self, server: &mut Server, after: &str) {
        assert!(server.is_running(), "the server died of {after}");
        let answer = self
            .0
            .query("SELECT n FROM t")
            .unwrap_or_else(|e| panic!("{after}: {e}"));
        assert_eq!(kinds(&answer), "TDCZ", "after {after}");
        let mut fresh = Raw::session(server.port);
        assert_eq!(
            kinds(&fresh.query("SELECT 1").unwrap()),
            "TDCZ",
            "after {after}"
        );
    }
}

fn errors(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter(|m| m.0 == b'E')
        .map(|m| field(&m.1, b'C').unwrap_or_default())
        .collect()
}

#[test]
fn bad_lengths_before_authentication_hurt_nobody_else() {
    let mut server = Server::start();
    let mut bystander = Bystander::new(&server);
    for length in [0_u32, 1, 2, 3, 4, 5, 7, u32::MAX, i32::MAX as u32, 1 << 30] {
        let mut raw = Raw::connect(server.port).unwrap();
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 3, 0, 0, b'x', 0, 0, 0]);
        let _ = raw.send(&bytes);
        let _ = raw.stream.shutdown(std::net::Shutdown::Write);
        raw.until_closed();
        bystander.is_well(&mut server, &format!("startup length {length}"));
    }
    for bytes in [
        &b""[..],
        b"\0",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        // An unknown protocol version.
        b"\0\0\0\x09\0\x09\0\0\0",
        // A startup packet without its last zero, one without a user.
        b"\0\0\0\x0e\0\x03\0\0user\0x",
        b"\0\0\0\x09\0\x03\0\0\0",
        // A cancel request for nobody, and one that is too short.
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02",
        b"\0\0\0\x0a\x04\xd2\x16\x2e\0\0",
        // A query before authentication.
        b"Q\0\0\0\x0dSELECT 1\0",
    ] {
        let mut raw = Raw::connect(server.port).unwrap();
        let _ = raw.send(bytes);
        let _ = raw.stream.shutdown(std::net::Shutdown::Write);
        raw.until_closed();
        bystander.is_well(&mut server, &format!("startup bytes {bytes:02x?}"));
    }
}

#[test]
fn ssl_and_gss_requests_are_answered_with_n_and_the_session_follows() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port).unwrap();
    // Debian's PostgreSQL would take up GSS encryption.
    let gss = (server.engine == Engine::Walnut).then_some(80_877_104_u32);
    for request in gss.into_iter().chain([80_877_103]) {
        raw.send(&8_u32.to_be_bytes()).unwrap();
        raw.send(&request.to_be_bytes()).unwrap();
        let mut answer = [0];
        std::io::Read::read_exact(&mut raw.stream, &mut answer).unwrap();
        assert_eq!(answer, *b"N");
    }
    raw.start_session().unwrap();
    assert_eq!(kinds(&raw.query("SELECT 1").unwrap()), "TDCZ");
}

#[test]
fn bad_lengths_and_types_in_a_session_end_it_alone() {
    let mut server = Server::start();
    let mut bystander = Bystander::new(&server);
    for length in [0_u32, 1, 2, 3, u32::MAX, i32::MAX as u32, 0x8000_0000] {
        for kind in [b'Q', b'P', b'B', b'D', b'E', b'S', b'd', b'X'] {
            let mut raw = Raw::session(server.port);
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(b"SELECT 1\0");
            let _ = raw.send(&bytes);
            let _ = raw.stream.shutdown(std::net::Shutdown::Write);
            raw.until_closed();
        }
        bystander.is_well(&mut server, &format!("length {length}"));
    }
    for kind in [0_u8, b'z', b'0', 0xff, b'R', b'T'] {
        let mut raw = Raw::session(server.port);
        let _ = raw.send_message(kind, b"abc\0");
        let closed = raw.until_closed();
        let text = String::from_utf8_lossy(&closed);
        assert!(text.contains("08P01"), "message type {kind}: {text:?}");
        bystander.is_well(&mut server, &format!("message type {kind}"));
    }
}

#[test]
fn bodies_that_end_too_early_or_too_late_are_protocol_violations() {
    let mut server = Server::start();
    let mut bystander = Bystander::new(&server);
    let bodies: [(u8, &[u8]); 18] = [
        (b'Q', b""),
        (b'Q', b"SELECT 1"),
        (b'P', b""),
        (b'P', b"name"),
        (b'P', b"\0SELECT 1\0"),
        (b'P', b"\0SELECT 1\0\0\x05\0\0"),
        (b'P', b"\0SELECT 1\0\xff\xff"),
        (b'B', b"\0\0"),
        (b'B', b"\0\0\xff\xff"),
        (b'B', b"\0\0\0\0\0\x01\0\0\0\xff"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe"),
        (b'B', b"\0\0\0\x01\0\x09\0\0\0\0"),
        (b'D', b""),
        (b'D', b"Znope\0"),
        (b'E', b"\0"),
        (b'C', b"Q\0"),
        (b'B', b"\0\0\0\0\0\0\0\x02\0\0"),
    ];
    for (kind, body) in bodies {
        let what = format!("{} {body:02x?}", kind as char);
        let mut raw = Raw::session(server.port);
        raw.send_message(kind, body).unwrap();
        let _ = raw.send_message(b'S', b"");
        // An error, then either the session or its end.
        match raw.until(b'Z') {
            Ok(answer) if kind == b'Q' => {
                assert!(
                    kinds(&answer).contains(['E', 'I', 'C']),
                    "{what}: {}",
                    kinds(&answer)
                );
            }
            Ok(answer) => {
                let codes = errors(&answer);
                assert!(!codes.is_empty(), "{what}: {}", kinds(&answer));
                assert!(
                    codes.iter().all(|c| !c.starts_with("XX")),
                    "{what}: an internal error: {codes:?}"
                );
            }
            Err(_) => {}
        }
        drop(raw);
        bystander.is_well(&mut server, &what);
    }
}

#[test]
fn execute_with_any_row_limit_is_answered() {
    let mut server = Server::start();
    let mut bystander = Bystander::new(&server);
    for limit in [-1_i32, i32::MIN, i32::MAX, 0, 1] {
        let mut raw = Raw::session(server.port);
        let mut all = message(b'P', b"\0SELECT n FROM generate_series(1, 5) n\0\0\0");
        all.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
        let mut execute = vec![0];
        execute.extend_from_slice(&limit.to_be_bytes());
        all.extend(message(b'E', &execute));
        all.extend(message(b'S', b""));
        raw.send(&all).unwrap();
        let answer = raw.until(b'Z').unwrap();
        let expected = if limit == 1 { "12DsZ" } else { "12DDDDDCZ" };
        assert_eq!(kinds(&answer), expected, "limit {limit}");
        bystander.is_well(&mut server, &format!("limit {limit}"));
    }
}

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    let server = Server::start();
    let mut raw = Raw::session(server.port);
    let mut all = message(b'P', b"\0SELECT nope\0\0\0");
    all.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
    all.extend(message(b'E', b"\0\0\0\0\0"));
    all.extend(message(b'P', b"s\0SELECT 1\0\0\0"));
    all.extend(message(b'S', b""));
    all.extend(message(b'B', b"\0s\0\0\0\0\0\0\0"));
    all.extend(message(b'S', b""));
    all.extend(message(b'P', b"s\0SELECT 1\0\0\0"));
    all.extend(message(b'D', b"Ss\0"));
    all.extend(message(b'B', b"\0s\0\0\0\0\0\0\0"));
    all.extend(message(b'D', b"P\0"));
    all.extend(message(b'E', b"\0\0\0\0\0"));
    all.extend(message(b'C', b"Ss\0"));
    all.extend(message(b'C', b"Snope\0"));
    all.extend(message(b'S', b""));
    raw.send(&all).unwrap();
    assert_eq!(kinds(&raw.until(b'Z').unwrap()), "EZ");
    let second = raw.until(b'Z').unwrap();
    assert_eq!(
        (kinds(&second).as_str(), errors(&second)),
        ("EZ", vec!["26000".to_string()])
    );
    assert_eq!(kinds(&raw.until(b'Z').unwrap()), "1tT2TDC33Z");
}

#[test]
fn ready_for_query_tells_the_state_of_the_transaction() {
    let server = Server::start();
    let mut raw = Raw::session(server.port);
    let mut state = |sql: &str| {
        let answer = raw.query(sql).unwrap();
        answer.last().map(|m| m.1[0] as char).unwrap()
    };
    assert_eq!(state("SELECT 1"), 'I');
    assert_eq!(state("BEGIN"), 'T');
    assert_eq!(state("SELECT 1"), 'T');
    assert_eq!(state("SELECT nope"), 'E');
    assert_eq!(state("SELECT 1"), 'E');
    assert_eq!(state("ROLLBACK"), 'I');
    assert_eq!(state("SELECT nope"), 'I');
    assert_eq!(state("BEGIN; SELECT 1"), 'T');
    assert_eq!(state("COMMIT"), 'I');
    assert_eq!(state(""), 'I');
}

#[test]
fn flush_sends_what_is_there_without_ending_the_transaction() {
    let server = Server::start();
    let mut raw = Raw::session(server.port);
    raw.query("CREATE TABLE f (n integer)").unwrap();
    let mut all = message(b'P', b"\0INSERT INTO f VALUES (1)\0\0\0");
    all.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
    all.extend(message(b'E', b"\0\0\0\0\0"));
    all.extend(message(b'H', b""));
    raw.send(&all).unwrap();
    assert_eq!(kinds(&raw.until(b'C').unwrap()), "12C");
    let mut other = Raw::session(server.port);
    let count = |answer: &[Message]| {
        let row = answer.iter().find(|m| m.0 == b'D').unwrap();
        row.1[row.1.len() - 1] as char
    };
    assert_eq!(count(&other.query("SELECT count(*) FROM f").unwrap()), '0');
    // The error undoes what came before it in the same implicit transaction.
    raw.send(&message(b'P', b"\0SELECT nope\0\0\0")).unwrap();
    raw.send(&message(b'S', b"")).unwrap();
    assert_eq!(kinds(&raw.until(b'Z').unwrap()), "EZ");
    assert_eq!(count(&other.query("SELECT count(*) FROM f").unwrap()), '0');
}

#[test]
fn invalid_utf8_is_refused_not_altered() {
    let server = Server::start();
    let mut raw = Raw::session(server.port);
    raw.send_message(b'Q', b"SELECT '\xff\xfe'\0").unwrap();
    assert_eq!(errors(&raw.until(b'Z').unwrap()), ["22021"]);
    let mut all = message(b'P', b"\0SELECT $1::text\0\0\0");
    all.extend(message(b'B', b"\0\0\0\0\0\x01\0\0\0\x01\xff\0\0"));
    all.extend(message(b'E', b"\0\0\0\0\0"));
    all.extend(message(b'S', b""));
    raw.send(&all).unwrap();
    assert_eq!(errors(&raw.until(b'Z').unwrap()), ["22021"]);
    assert_eq!(kinds(&raw.query("SELECT 1").unwrap()), "TDCZ");
}

#[test]
fn deep_and_long_statements_are_refused_or_answered_but_never_fatal() {
    let mut server = Server::start();
    let mut bystander = Bystander::new(&server);
    let deep = |open: &str, middle: &str, close: &str, n: usize| {
        format!("SELECT {}{middle}{}", open.repeat(n), close.repeat(n))
    };
    for sql in [
        deep("(", "1", ")", 10_000),
        deep("1 + (", "1", ")", 5_000),
        deep("- ", "1", "", 20_000),
        deep("NOT ", "true", "", 20_000),
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT true{}", " OR false".repeat(100_000)),
        format!("SELECT 'x'{}", " || 'x'".repeat(50_000)),
        deep("(SELECT ", "1", ")", 3_000),
        deep("CASE WHEN true THEN ", "1", " END", 3_000),
        format!("SELECT 1 IN (1{})", ", 1".repeat(100_000)),
        format!("SELECT {}", "x".repeat(1_000_000)),
    ] {
        let mut raw = Raw::session(server.port);
        let start: String = sql.chars().take(40).collect();
        let answer = raw.query(&sql).unwrap_or_else(|e| panic!("{start}…: {e}"));
        let codes = errors(&answer);
        // PostgreSQL's parser calls its own limit a syntax error.
        let grammar = server.engine == Engine::Postgres && codes == ["42601"];
        assert!(
            grammar
                || codes
                    .iter()
                    .all(|c| ["54001", "54000", "42703"].contains(&c.as_str())),
            "{start}…: {codes:?}"
        );
        assert_eq!(
            kinds(&raw.query("SELECT 1").unwrap()),
            "TDCZ",
            "after {start}…"
        );
        bystander.is_well(&mut server, &start);
    }
}
