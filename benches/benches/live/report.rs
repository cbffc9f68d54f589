//! Lines of figures, for people or for programs.

use serde_json::{Map, Value};

/// Where figures go, and which are asked for.
pub(crate) struct Report {
    json: bool,
    filter: Option<String>,
}

impl Report {
    /// Reads what `cargo bench` passes on; options that are meant for others mean nothing here.
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let mut report = Self { json: false, filter: None };
        let mut before = String::new();
        for argument in arguments {
            if before == "--format" {
                report.json = argument == "json";
            } else if !argument.starts_with('-') {
                report.filter = Some(argument.clone());
            }
            before = argument;
        }
        report
    }

    /// Whether figures with this beginning of an id may be asked for.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| id.contains(filter.as_str()) || filter.starts_with(id))
    }

    /// Whether anything of a table in this state may be asked for.
    pub(crate) fn wants_table(&self, name: &str, state: &str) -> bool {
        ["bytes", "rate", "changes", "readers"]
            .iter()
            .any(|subject| self.wants(&format!("live/{subject}/{name}/{state}")))
    }

    /// Prints one line.
    pub(crate) fn line<'a>(&self, id: &str, figures: impl IntoIterator<Item = (&'a str, f64)>) {
        let figures = figures.into_iter().map(|(name, value)| (name, (value * 10.0).round() / 10.0));
        if self.json {
            let mut object = Map::from_iter([("id".to_owned(), Value::from(id))]);
            object.extend(figures.map(|(name, value)| (name.to_owned(), Value::from(value))));
            return println!("{}", Value::Object(object));
        }
        print!("{id:<34}");
        figures.for_each(|(name, value)| print!("  {name} {value}"));
        println!();
    }
}

/// The distribution of times in nanoseconds, which there are some of.
pub(crate) fn quantiles(times: &mut [u64]) -> [(&'static str, f64); 5] {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64;
    [
        ("count", times.len() as f64),
        ("p50", at(0.5)),
        ("p99", at(0.99)),
        ("p99.9", at(0.999)),
        ("max", at(1.0)),
    ]
}

/// The middle of some figures, which are in order afterwards.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
