//! The findings for people, at 80 columns: the worst first.

use std::fmt::{self, Write};

use super::{Finding, Level};

const COLUMNS: usize = 80;
/// Where the text of a finding begins.
const INDENT: &str = "         ";
const ARROW: &str = "      -> ";

/// The findings as text, the worst first and a summary at the end.
#[must_use]
pub fn render(findings: &[Finding]) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    // Those of a level stay in the order of the checks.
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let mut text = String::new();
    for finding in sorted {
        // Writing to a string does not fail.
        let _ = write_finding(&mut text, finding);
    }
    text + &summary(findings) + "\n"
}

fn write_finding(f: &mut String, finding: &Finding) -> fmt::Result {
    let Finding { level, check, port, seen, advice } = finding;
    let place = port.as_ref().map_or_else(String::new, |port| format!("port {port}, "));
    let head = format!("{:<9}", level.name());
    wrap(f, &head, &format!("{place}{check}: {seen}"))?;
    if advice.is_empty() { Ok(()) } else { wrap(f, ARROW, advice) }
}

/// Writes words in lines of at most 80 columns. A word that is longer has a line of its own.
fn wrap(f: &mut String, head: &str, text: &str) -> fmt::Result {
    let mut line = head.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let len = line.chars().count() + usize::from(!empty) + word.chars().count();
        if len > COLUMNS && !empty {
            writeln!(f, "{line}")?;
            INDENT.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(f, "{line}")
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let plural = |level, one: &str| match count(level) {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    };
    format!(
        "{}, {}, {}, {} ok",
        plural(Level::Problem, "problem"),
        plural(Level::Warning, "warning"),
        plural(Level::Note, "note"),
        count(Level::Ok)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_in_80_columns() {
        let long = "a sentence of many words that does not fit ".repeat(5);
        let text = render(&[
            Finding::ok("kernel", "as it should be"),
            Finding::note("MTU", long.clone(), "").of_port("wan0"),
            Finding::problem("uplink", "gone", long).of_port("a-port-of-15-xx"),
            Finding::problem("path", "/x".repeat(60), "nothing"),
        ]);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("PROBLEM  port a-port-of-15-xx, uplink: gone"));
        assert!(text.find("note ") < text.find("ok  "), "{text}");
        assert_eq!(text.lines().last(), Some("2 problems, 0 warnings, 1 note, 1 ok"));
        for line in text.lines().filter(|line| !line.contains("/x")) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert_eq!(line, line.trim_end());
        }
        // Words are not torn, and nothing is lost.
        assert_eq!(text.matches("sentence").count(), 10);
    }
}
