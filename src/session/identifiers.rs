//! Lists of identifiers in settings such as `search_path`.

/// Quotes a name unless it can stand as it is.
pub(super) fn quote(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Splits at commas, folding what is not quoted to lower case. `None`: not a list of names.
pub(super) fn split(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim_start();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => split_plain(rest)?,
        };
        names.push(name);
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn split_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

fn split_plain(text: &str) -> Option<(String, &str)> {
    let end = text
        .find(|c: char| c == ',' || c.is_whitespace())
        .unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_lowercase(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_splits_into_its_names() {
        let names = split(r#" "$user", Public ,"a""b,c""#).unwrap();
        assert_eq!(names, ["$user", "public", "a\"b,c"]);
        assert_eq!(split("").unwrap(), Vec::<String>::new());
        assert_eq!(split("a,,b"), None);
        assert_eq!(split("a b"), None);
        assert_eq!(split("\"a"), None);
    }

    #[test]
    fn what_is_quoted_splits_back() {
        for name in ["a", "A", "a b", "\"", "1", "$user", ""] {
            assert_eq!(split(&quote(name)).unwrap(), [name]);
        }
    }
}
