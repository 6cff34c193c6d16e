//! text, varchar, char(n), name and "char".

use crate::sql::func::define::{comparisons, eval, function, operator, text};
use crate::sql::func::{Function, Operator};
use crate::types::Datum;
use crate::types::Type::Text;

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Text(Text) Text(Text),
        ["texteq", "textne", "text_lt", "text_le", "text_gt", "text_ge"]; |_, a, b| a.cmp(b)),
    comparisons!(Name(Text) Name(Text), "name"; |_, a, b| a.cmp(b)),
    comparisons!(Name(Text) Text(Text),
        ["nameeqtext", "namenetext", "namelttext", "nameletext", "namegttext", "namegetext"];
        |_, a, b| a.cmp(b)),
    comparisons!(Text(Text) Name(Text),
        ["texteqname", "textnename", "textltname", "textlename", "textgtname", "textgename"];
        |_, a, b| a.cmp(b)),
    comparisons!(Bpchar(Text) Bpchar(Text), "bpchar";
        |_, a, b| a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))),
    comparisons!(Char(Char) Char(Char), "char"; |_, a, b| a.cmp(b)),
    &[
        operator!(Text "||" Text => Text, "textcat", eval!(|a: Text, b: Text| {
            let mut s = String::with_capacity(a.len() + b.len());
            s.push_str(a);
            s.push_str(b);
            Ok(Datum::Text(s))
        })),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[function(
    "lower",
    &[Text],
    Text,
    eval!(|s: Text| text(lower(s))),
)]];

/// One character for one, as towlower does.
pub(super) fn lower(s: &str) -> String {
    s.chars()
        .map(|c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(l), None) => l,
                _ => c,
            }
        })
        .collect()
}
