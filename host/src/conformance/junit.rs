//! The report as JUnit's XML, which build servers read.

use super::report::{Checked, Report};

/// A suite with a test case for each check.
pub fn junit(report: &Report) -> String {
    let failures = report.checks.iter().filter(|check| !check.findings.is_empty()).count();
    let skipped = report.checks.iter().filter(|check| check.skipped.is_some()).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
         <testsuite name=\"wasmnet conformance: {}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">\n",
        escaped(&report.driver),
        report.checks.len()
    );
    for check in &report.checks {
        text.push_str(&case(report, check));
    }
    text + "  </testsuite>\n</testsuites>\n"
}

fn case(report: &Report, check: &Checked) -> String {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}: {}\"",
        escaped(&report.driver),
        escaped(&check.name),
        escaped(&check.title)
    );
    if let Some(reason) = &check.skipped {
        return format!(
            "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>\n",
            escaped(reason)
        );
    }
    let Some(first) = check.findings.first() else { return format!("{head}/>\n") };
    let lines = check
        .findings
        .iter()
        .map(|finding| escaped(&format!("{}: {}: {}\n", finding.kind, finding.at, finding.says)));
    format!(
        "{head}>\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
        first.kind,
        escaped(&first.says),
        lines.collect::<String>()
    )
}

/// Text for XML; what XML cannot have at all is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{
        super::report::{Finding, Kind},
        *,
    };

    #[test]
    fn what_a_driver_says_stays_text() {
        let says = "<b>\"&\"</b>\u{7}".to_owned();
        let finding = Finding { kind: Kind::Crash, at: "join".to_owned(), says };
        let check = |name: &str, findings, skipped: Option<&str>| Checked {
            name: name.to_owned(),
            title: "title".to_owned(),
            cases: 1,
            skipped: skipped.map(str::to_owned),
            findings,
            notes: Vec::new(),
        };
        let report = Report {
            checks: vec![
                check("life", vec![finding], None),
                check("faults", Vec::new(), Some("not yet")),
                check("limits", Vec::new(), None),
            ],
            driver: "a<b".to_owned(),
            ..Report::about(None)
        };
        let text = junit(&report);
        assert!(text.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{text}");
        assert!(text.contains("message=\"&lt;b&gt;&quot;&amp;&quot;&lt;/b&gt;\""), "{text}");
        assert!(text.contains("<skipped message=\"not yet\"/>"), "{text}");
        assert!(!text.contains("a<b"), "{text}");
    }
}
