//! The capability matrix, as it stands in `docs/backends.md`.

use std::{fmt::Write, path::Path};

use crate::{Case, Failure, Fate, Outcome, Results, cases};

/// The columns: names of providers, and their headings.
const COLUMNS: &[(&str, &str)] =
    &[("embedded", "embedded"), ("embedded-memory", "embedded, in memory"), ("nats", "NATS JetStream")];

const BEGIN: &str = "<!-- matrix:begin -->";
const END: &str = "<!-- matrix:end -->";

/// The table of cases and backends from the committed results below `root`.
///
/// # Errors
/// When results can't be read.
pub fn matrix(root: &Path) -> Outcome<String> {
    let mut columns = vec![];
    for (backend, heading) in COLUMNS {
        columns.push((*heading, Results::committed(root, backend)?.unwrap_or_default()));
    }
    Ok(table(&cases(), &columns))
}

/// A document with the matrix between its two markers in place of what was there.
///
/// # Errors
/// When the markers aren't there, or results can't be read.
pub fn with_matrix(document: &str, root: &Path) -> Outcome<String> {
    let missing = || Failure::new(format!("the document has no {BEGIN} … {END}"));
    let (before, rest) = document.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", matrix(root)?))
}

fn table(cases: &[Case], columns: &[(&str, Results)]) -> String {
    let mut text = String::new();
    let mut reasons = vec![];
    let headings: Vec<_> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut chapter = None;
    for case in cases {
        if chapter.replace(case.chapter) != Some(case.chapter) {
            let dashes = "|---".repeat(columns.len());
            push(&mut text, format_args!("\n| {} | {} |\n|---{dashes}|\n", case.chapter.title(), headings.join(" | ")));
        }
        let fates = columns.iter().map(|(_, results)| cell(results.get(case.name), &mut reasons));
        let fates = fates.collect::<Vec<_>>().join(" | ");
        push(&mut text, format_args!("| {}{} | {fates} |\n", case.words(), schedules(case)));
    }
    if !reasons.is_empty() {
        text.push_str("\nNot run, and what happens instead:\n\n");
    }
    for (n, reason) in (1..).zip(&reasons) {
        push(&mut text, format_args!("{n}. {reason}\n"));
    }
    text.push('\n');
    text
}

/// A case's fate; reasons are numbered and stand below the table.
fn cell(fate: Option<&Fate>, reasons: &mut Vec<String>) -> String {
    match fate {
        Some(Fate::Passed) => "✓".into(),
        None => "not run".into(),
        Some(Fate::Skipped(reason)) => {
            let known = reasons.iter().position(|have| have == reason);
            let n = known.unwrap_or_else(|| {
                reasons.push(reason.clone());
                reasons.len() - 1
            });
            format!("– ({})", n + 1)
        }
    }
}

fn schedules(case: &Case) -> String {
    if case.schedules.is_empty() {
        return String::new();
    }
    let numbers: Vec<_> = case.schedules.iter().map(ToString::to_string).collect();
    format!(" (schedule {})", numbers.join(", "))
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_stands_with_its_reason_and_what_was_not_run_is_not_claimed() {
        let cases = &cases()[..3];
        let mut results = Results::default();
        results.insert(cases[0].name, Fate::Passed);
        results.insert(cases[1].name, Fate::Skipped("it keeps nothing".into()));
        let text = table(cases, &[("x", results)]);
        assert!(text.contains(&format!("{} | ✓ |", cases[0].words())), "{text}");
        assert!(text.contains("| – (1) |") && text.contains("1. it keeps nothing"), "{text}");
        assert!(text.contains("| not run |"), "{text}");
    }
}
