//! The first screen: at most 24 lines, worst first, verdicts in words.

use std::fmt::Write;

use super::shared_words;
use crate::{
    Assessment, InputReport,
    model::{Finding, OwnerKind, Severity, size},
    rules::{self, requirements::Verdict},
};

/// The first screen.
#[must_use]
pub fn screen(assessment: &Assessment) -> String {
    let mut lines: Vec<String> = Vec::new();
    for input in assessment.inputs.iter().take(MAX_INPUTS) {
        push(&mut lines, &input_line(input));
    }
    if assessment.inputs.len() > MAX_INPUTS {
        lines.push(format!(
            "  and {} more inputs (--json lists them)",
            assessment.inputs.len() - MAX_INPUTS
        ));
    }
    let answer = shared_words(&assessment.shared);
    let question = "Is any private key or credential shared?";
    if question.len() + 5 + answer.chars().count() <= WIDTH {
        lines.push(format!("  {question}   {answer}"));
    } else {
        lines.extend([format!("  {question}"), format!("     {answer}")]);
    }
    if let Some(pair) = assessment.comparisons.first() {
        let more = match assessment.comparisons.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more pairs)"),
        };
        push(&mut lines, &format!("Side by side: {}{more}", super::comparison_words(pair)));
    }
    let open: Vec<&Finding> =
        assessment.findings.iter().filter(|f| f.suppressed.is_none()).collect();
    let room = MAX_LINES.saturating_sub(lines.len() + TAIL_LINES);
    let shown = shown(&open, room / 3);
    for finding in &shown {
        push_finding(&mut lines, finding);
    }
    lines.extend(counts(assessment, &open));
    let suppressed = assessment.findings.len() - open.len();
    let stale = assessment.stale_suppressions.len();
    if suppressed + stale > 0 {
        lines.push(format!(
            "  Accepted: {suppressed}   Stale suppressions: {stale} (--json names them)"
        ));
    }
    push(
        &mut lines,
        &format!(
            "Not checked: {} things, docs/assess.md#not-checked. Known keys of {}",
            super::NOT_CHECKED.len(),
            assessment.known_keys.1
        ),
    );
    let exit = format!("exit {} ({})", assessment.exit, why(assessment));
    push(&mut lines, &format!("Next: --html report.html | {exit}"));
    lines.truncate(MAX_LINES);
    lines.join("\n") + "\n"
}

/// A line of the screen, over several where a terminal has no room for it.
fn push(lines: &mut Vec<String>, text: &str) {
    let mut line = String::from("  ");
    for word in text.split(' ') {
        let room = WIDTH.saturating_sub(line.chars().count() + 1);
        if line.len() > 2 && word.chars().count() > room {
            lines.push(std::mem::replace(&mut line, "     ".into()));
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

/// What was read and what was not, region by region.
#[must_use]
pub fn coverage(assessment: &Assessment) -> String {
    let mut out = String::new();
    for input in &assessment.inputs {
        let c = input.coverage;
        let _ = writeln!(out, "{}", input_line(input));
        let _ = writeln!(
            out,
            "  understood {}, searched as raw bytes {}, not read {}; {} files; {} links and {} devices not followed",
            size(c.understood),
            size(c.searched),
            size(c.unread),
            input.files,
            input.links,
            input.devices
        );
        for (format, count) in &input.opened {
            let _ = writeln!(out, "  opened {count} x {format}");
        }
        for unread in &input.unread {
            let _ = writeln!(
                out,
                "  NOT READ {} at 0x{:x}, {}: {}",
                unread.path,
                unread.offset,
                if unread.bytes == 0 { "length unknown".to_owned() } else { size(unread.bytes) },
                unread.reason
            );
        }
    }
    for pair in &assessment.comparisons {
        let _ =
            writeln!(out, "{} and {}: {}", pair.first, pair.second, super::comparison_words(pair));
        for path in &pair.paths {
            let _ = writeln!(out, "  differs: {}", crate::unpack::clean(path));
        }
    }
    let _ = writeln!(out, "Not checked by this version:");
    for line in super::NOT_CHECKED {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn input_line(input: &InputReport) -> String {
    if let Some(error) = &input.error {
        return format!("{}  NOT READ: {error}", clip(&input.name, 60));
    }
    let permille = input.coverage.read_permille();
    let name =
        input.name.rsplit('/').next().filter(|n| !n.is_empty() && *n != ".").unwrap_or(&input.name);
    let name = clip(name, 40);
    let source = if input.kind == OwnerKind::Source { " of source" } else { "" };
    let mut line = format!("{name}  {}{source} · read {} %", size(input.bytes), permille / 10);
    let regions = input.unread.iter().filter(|u| u.bytes > 0).count();
    let problems = input.unread.len() - regions;
    if input.coverage.unread > 0 {
        let _ = write!(
            line,
            " · NOT READ {} ({regions} region{}: --coverage)",
            size(input.coverage.unread),
            if regions == 1 { "" } else { "s" }
        );
    }
    if let Some(words) = input.history.words() {
        let _ = write!(line, " · {words}");
    }
    if problems > 0 {
        let _ = write!(line, " · {problems} note{}", if problems == 1 { "" } else { "s" });
    }
    line
}

/// One finding of each rule first, so that one rule does not fill the screen.
fn shown<'a>(open: &[&'a Finding], room: usize) -> Vec<&'a Finding> {
    let mut rules = Vec::new();
    let mut out = Vec::new();
    for finding in open.iter().filter(|f| f.severity >= Severity::High) {
        if !rules.contains(&finding.rule) {
            rules.push(finding.rule);
            out.push(*finding);
        }
    }
    out.truncate(room.min(5));
    out
}

fn push_finding(lines: &mut Vec<String>, finding: &Finding) {
    let title = shorten(&finding.title, WIDTH - 17);
    lines.push(format!("  {:<8} {}  {title}", finding.severity.word(), finding.rule));
    if let Some(first) = finding.locations.first() {
        let more = finding.locations.len() - 1;
        let rest = match (more, finding.locations.get(1)) {
            (0, _) | (_, None) => String::new(),
            (1, Some(next)) => format!("  (+1 place: {})", shorter(&next.path, &first.path)),
            (more, _) => format!("  (+{more} places)"),
        };
        let room = WIDTH - 5 - rest.chars().count();
        lines.push(format!("     {}{rest}", clip(&first.to_string(), room)));
    }
    let fix = rules::find(finding.rule).map_or("", |r| r.fix);
    let more = format!("(docs/assess.md#{})", finding.rule);
    let room = WIDTH - "     Fix:  ".len() - more.len();
    lines.push(format!("     Fix: {} {more}", shorten(fix, room)));
}

/// The part of a path that differs from the first one.
fn shorter(path: &str, first: &str) -> String {
    if let (Some((image, rest)), Some((_, there))) = (path.split_once('!'), first.split_once('!'))
        && rest == there
    {
        return clip(&format!("the same in {}", clip(image, 22)), 34);
    }
    let common = path.split('!').zip(first.split('!')).take_while(|(a, b)| a == b).count();
    let rest: Vec<&str> = path.split('!').skip(common).collect();
    clip(&if rest.is_empty() { path.to_owned() } else { rest.join("!") }, 34)
}

/// The beginning of a sentence, up to a whole word.
fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width - 1).collect();
    format!("{}…", head.rsplit_once(' ').map_or(head.as_str(), |(head, _)| head))
}

/// The end of a path, which says more than its beginning.
fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let tail: String =
        text.chars().rev().take(width - 1).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{tail}")
}

fn counts(assessment: &Assessment, open: &[&Finding]) -> [String; 2] {
    let number = |s: Severity| open.iter().filter(|f| f.severity == s).count();
    let verdicts = |v: Verdict| {
        assessment.requirements.iter().filter(|r| r.verdict == v && !r.id.starts_with('I')).count()
    };
    [
        format!(
            "  CRITICAL {} · HIGH {} · MEDIUM {} · LOW {}",
            number(Severity::Critical),
            number(Severity::High),
            number(Severity::Medium),
            number(Severity::Low)
        ),
        format!(
            "  Requirements (EN 303 645): {} fail · {} supported · {} not tested",
            verdicts(Verdict::Fails),
            verdicts(Verdict::EvidenceSupports),
            verdicts(Verdict::NotTested)
        ),
    ]
}

fn why(assessment: &Assessment) -> String {
    let level = assessment.fail_on.word().to_lowercase();
    match assessment.exit {
        0 => format!("no finding at or above {level}"),
        1 => format!("findings at or above {level}"),
        _ => format!(
            "not tested: an input not opened, or less than {} % read",
            assessment.min_coverage_percent
        ),
    }
}

const MAX_LINES: usize = 24;
/// Columns of a terminal that nobody made wider.
const WIDTH: usize = 80;
const MAX_INPUTS: usize = 5;
const TAIL_LINES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tar, whole};

    #[test]
    fn the_first_screen_has_24_lines_of_80_columns_at_most() {
        let name = format!("{}device.conf", "a-long-name-of-a-directory/".repeat(3));
        let text = "password = Gw4y-2019x\nroot:$1$Q7xm2Lw9$kT4vW8yZbC3dF5gH8jK1m.:1:0:9:7:::\n";
        let mut dense = tar(&name, text.as_bytes());
        dense.extend((0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
        let long = "x".repeat(200);
        let names: Vec<String> = (0..7).map(|n| format!("image-{n}-{long}.bin")).collect();
        for count in [1, 2, 7] {
            let inputs = names[..count].iter().map(|n| (n.as_str(), dense.clone())).collect();
            let screen = screen(&whole(inputs));
            assert!(screen.lines().count() <= MAX_LINES, "{screen}");
            assert!(screen.lines().all(|line| line.chars().count() <= WIDTH), "{screen}");
            assert!(screen.contains("Next: ") && screen.contains("shared?"), "{screen}");
        }
    }
}
