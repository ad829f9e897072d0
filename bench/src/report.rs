//! Results for people: one line a figure, histograms on one line.

use serde_json::Value;

/// Prints a report as indented text.
pub fn print(report: &Value) {
    let mut text = String::new();
    write(report, 0, &mut text);
    print!("{text}");
}

fn histogram(value: &Value) -> Option<String> {
    let get = |name: &str| value.get(name).and_then(Value::as_f64);
    Some(format!(
        "p50 {:.3}  p99 {:.3}  max {:.3} ms  ({})",
        get("p50_ms")?,
        get("p99_ms")?,
        get("max_ms")?,
        value.get("count")?
    ))
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let label = name.replace('_', " ");
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(_) => match histogram(value) {
                Some(line) => out.push_str(&format!("{indent}{label:<30} {line}\n")),
                None => {
                    out.push_str(&format!("{indent}{label}\n"));
                    write(value, depth + 1, out);
                }
            },
            // Time series are for programs.
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {}
            Value::Array(items) => {
                let words: Vec<String> = items.iter().map(plain).collect();
                let words = if words.is_empty() {
                    "none".to_owned()
                } else {
                    words.join("; ")
                };
                out.push_str(&format!("{indent}{label:<30} {words}\n"));
            }
            Value::Null => out.push_str(&format!("{indent}{label:<30} -\n")),
            other => out.push_str(&format!("{indent}{label:<30} {}\n", plain(other))),
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_histogram_is_one_line_and_a_series_none() {
        let report = json!({
            "round_trip": {"count": 3, "p50_ms": 1.0, "p99_ms": 2.5, "max_ms": 3.0},
            "samples": [{"second": 1}],
            "violations": [],
            "nested": {"lost": 0, "nothing": null},
        });
        let mut text = String::new();
        write(&report, 0, &mut text);
        assert!(text.contains("p50 1.000  p99 2.500  max 3.000 ms  (3)"));
        assert!(!text.contains("second"));
        assert!(text.contains("violations                     none"));
        assert!(text.contains("  lost                           0"));
    }
}
