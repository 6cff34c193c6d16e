//! The layers' arrows point one way: a file imports only from layers below its own.
//!
//! Also: only `disk` touches files, only `wire` knows pgwire, only `sql/parse` knows sqlparser.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Each layer and those it may use.
const MAY_USE: [(&str, &[&str]); 18] = [
    ("base", &[]),
    ("types", &["base"]),
    ("disk", &["base"]),
    ("wal", &["base", "disk"]),
    ("pages", &["base", "disk", "wal"]),
    ("btree", &["base", "disk", "wal", "pages"]),
    ("txn", &["base", "disk", "wal", "pages", "btree"]),
    (
        "table",
        &["base", "types", "disk", "wal", "pages", "btree", "txn"],
    ),
    (
        "sql",
        &[
            "base", "types", "disk", "wal", "pages", "btree", "txn", "table", "database",
        ],
    ),
    (
        "database",
        &[
            "base", "types", "disk", "wal", "pages", "btree", "txn", "table",
        ],
    ),
    (
        "session",
        &[
            "base", "types", "disk", "wal", "pages", "btree", "txn", "table", "sql", "database",
        ],
    ),
    (
        "wire",
        &[
            "base", "types", "disk", "wal", "pages", "btree", "txn", "table", "sql", "database",
            "session",
        ],
    ),
    // `walnut check` and `walnut wal`, parts of the binary.
    ("options", &[]),
    ("progress", &["database"]),
    (
        "check",
        &["base", "database", "inspect", "options", "progress"],
    ),
    (
        "inspect",
        &["base", "disk", "wal", "pages", "database", "options"],
    ),
    // The library's and the binary's roots stand on everything.
    ("lib", &[]),
    ("main", &[]),
];

/// A crate or module, and the one place that may name it.
const OWNED: [(&str, &str); 3] = [
    ("std::fs", "disk/"),
    ("pgwire", "wire/"),
    ("sqlparser", "sql/parse"),
];

#[test]
fn no_file_uses_a_layer_above_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut files = 0;
    visit(&src, &mut |path| {
        let name = path
            .strip_prefix(&src)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        files += 1;
        found.extend(violations(&name, &fs::read_to_string(path).unwrap()));
    });
    assert!(files > 20, "only {files} files under {}", src.display());
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        found.join("\n")
    );
}

fn visit(dir: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else if path.extension().is_some_and(|e| e == "rs") {
            each(&path);
        }
    }
}

/// What is wrong in a file, one line each. `name` is its path below `src`.
fn violations(name: &str, text: &str) -> Vec<String> {
    let layer = name.split(['/', '.']).next().unwrap_or_default();
    let Some((_, below)) = MAY_USE.iter().find(|(l, _)| *l == layer) else {
        return vec![format!(
            "{name}: {layer} is no layer of the list in tests/layers.rs"
        )];
    };
    let top = matches!(layer, "lib" | "main");
    let mut found = Vec::new();
    for (number, line, in_tests) in code_lines(name, text) {
        let mut complain = |what: String| found.push(format!("{name}:{number}: {what}"));
        if !top {
            for used in crate_paths(&line) {
                if used != layer && !below.contains(&used.as_str()) {
                    complain(format!("{layer} uses {used}, which is not below it"));
                }
            }
        }
        for (owned, place) in OWNED {
            // Tests may look at files to check what was written.
            let exempt = owned == "std::fs" && (in_tests || name.starts_with("main"));
            if names(&line, owned) && !name.starts_with(place) && !exempt {
                complain(format!("{owned} belongs to {place}"));
            }
        }
    }
    found
}

/// The lines without comments and strings, each with its number and whether it is test code: a
/// `#[cfg(test)] mod … { … }` or a file named for tests. A `use crate::{…}` over several lines is
/// given as one line.
fn code_lines(name: &str, text: &str) -> Vec<(usize, String, bool)> {
    let test_file =
        name.ends_with("tests.rs") || name.contains("/tests/") || name.ends_with("harness.rs");
    let mut lines: Vec<(usize, String, bool)> = Vec::new();
    let (mut depth, mut test_depth, mut attribute) = (0_i64, None, false);
    let mut open_use = false;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment_and_strings(line);
        attribute |= line.contains("#[cfg(test)]");
        let before = depth;
        depth += line.matches('{').count() as i64 - line.matches('}').count() as i64;
        if attribute && line.contains("mod ") && test_depth.is_none() {
            test_depth = line.contains('{').then_some(before);
            attribute = false;
        }
        let in_tests = test_file || test_depth.is_some();
        if open_use {
            let last = lines.last_mut().expect("the line that opened it");
            last.1.push_str(line.trim());
            open_use = !line.contains(';');
        } else {
            open_use = line.contains("use ") && line.contains('{') && !line.contains(';');
            lines.push((index + 1, line, in_tests));
        }
        if test_depth.is_some_and(|at| depth <= at) {
            test_depth = None;
        }
    }
    lines
}

fn without_comment_and_strings(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if !quoted => out.push(c),
            _ => {}
        }
    }
    out
}

/// The first segments after `crate::` (and `walnut::`) in a line, those of `crate::{a::X, b::Y}`
/// included.
fn crate_paths(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "walnut::"] {
        for (at, _) in line.match_indices(root) {
            let whole_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            // `$crate` in a macro is this crate too.
            let rest = &line[at + root.len()..];
            if !whole_word {
                continue;
            }
            match rest.strip_prefix('{') {
                Some(list) => found.extend(top_level(list).iter().map(|item| segment(item))),
                None => found.push(segment(rest)),
            }
        }
    }
    found.retain(|s| !s.is_empty());
    found
}

/// The items of a use list up to its closing brace, not those of nested lists.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                return items;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    items
}

fn segment(path: &str) -> String {
    path.trim()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Whether a line names this path: as a whole word, and `std::{fs, io}` for `std::fs`.
fn names(line: &str, path: &str) -> bool {
    let word = |text: &str, word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let boundary = |c: char| !(c.is_alphanumeric() || c == '_');
            text[..at].chars().next_back().is_none_or(boundary)
                && text[at + word.len()..].chars().next().is_none_or(boundary)
        })
    };
    if path == "std::fs" {
        let in_list = line.find("std::{").is_some_and(|at| {
            top_level(&line[at + 6..])
                .iter()
                .any(|i| segment(i) == "fs")
        });
        return word(line, path) || in_list;
    }
    word(line, path)
}

#[test]
fn an_upward_import_is_found() {
    let one = |name: &str, text: &str| violations(name, text).len();
    assert_eq!(one("wal/mod.rs", "use crate::pages::Page;"), 1);
    assert_eq!(
        one(
            "wal/mod.rs",
            "use crate::disk::Disk;\nuse crate::base::Lsn;"
        ),
        0
    );
    assert_eq!(
        one("wal/a/b.rs", "fn f() { crate::sql::parse::parse(1) }"),
        1
    );
    assert_eq!(one("wal/mod.rs", "use crate::{base::Lsn, txn::Txn};"), 1);
    assert_eq!(
        one(
            "wal/mod.rs",
            "use crate::{\n    base::{Lsn, Result},\n    txn::Txn,\n};"
        ),
        1
    );
    assert_eq!(one("types/mod.rs", "use crate::disk::Disk;"), 1);
    assert_eq!(one("disk/mod.rs", "use crate::types::Type;"), 1);
    assert_eq!(one("txn/mod.rs", "use crate::types::Type;"), 1);
    assert_eq!(one("table/mod.rs", "use crate::types::Type;"), 0);
    assert_eq!(one("sql/x.rs", "use crate::session::Session;"), 1);
    assert_eq!(one("sql/x.rs", "use crate::database::Database;"), 0);
    assert_eq!(one("table/x.rs", "use crate::database::Database;"), 1);
    assert_eq!(one("database.rs", "use crate::sql::parse;"), 1);
    assert_eq!(one("session/x.rs", "use crate::database::Database;"), 0);
    assert_eq!(one("database.rs", "use crate::session::Session;"), 1);
    assert_eq!(one("database.rs", "use crate::table::Catalog;"), 0);
    assert_eq!(
        one(
            "wire/x.rs",
            "use crate::session::Session;\nuse pgwire::api::Type;"
        ),
        0
    );
    assert_eq!(one("main.rs", "use walnut::wire::serve;"), 0);
    assert_eq!(one("sql/mod.rs", "use walnut::wire::serve;"), 1);
    assert_eq!(one("misc/mod.rs", ""), 1, "an unknown folder is no layer");
}

#[test]
fn tests_may_not_import_upwards_either() {
    let text = "#[cfg(test)]\nmod tests {\n    use crate::pages::Page;\n}\n";
    assert_eq!(violations("wal/mod.rs", text).len(), 1);
}

#[test]
fn a_library_in_the_wrong_layer_is_found() {
    let one = |name: &str, text: &str| violations(name, text).len();
    assert_eq!(one("wal/mod.rs", "use std::fs::File;"), 1);
    assert_eq!(one("wal/mod.rs", "use std::{fs, io};"), 1);
    assert_eq!(one("wal/mod.rs", "let f = std::fs::read(p);"), 1);
    assert_eq!(one("disk/real.rs", "use std::fs::File;"), 0);
    assert_eq!(
        one(
            "wal/mod.rs",
            "#[cfg(test)]\nmod tests {\n use std::fs;\n}\n"
        ),
        0
    );
    assert_eq!(
        one("wal/mod.rs", "#[cfg(test)]\nmod tests {\n}\nuse std::fs;\n"),
        1
    );
    assert_eq!(
        one("wal/mod.rs", "#[cfg(test)]\nmod tests;\nuse std::fs;\n"),
        1
    );
    assert_eq!(one("wal/tests/disk.rs", "use std::fs;"), 0);
    assert_eq!(one("session/mod.rs", "use pgwire::messages;"), 1);
    assert_eq!(one("sql/bind/mod.rs", "use sqlparser::ast;"), 1);
    assert_eq!(one("sql/parse/mod.rs", "use sqlparser::ast;"), 0);
    assert_eq!(one("sql/parse.rs", "use sqlparser::ast;"), 0);
}

#[test]
fn comments_and_strings_are_no_imports() {
    let text = "// crate::wire is above\n/// [`crate::session`]\nlet s = \"crate::wire::x\";";
    assert_eq!(violations("base/mod.rs", text), Vec::<String>::new());
}
