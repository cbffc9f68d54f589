//! The medians that the benches left behind, by id.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Nanoseconds of one operation by the id of its bench.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Estimates(BTreeMap<String, f64>);

/// A place in a chart: what several implementations were measured on in the same run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar<'a> {
    /// The implementation.
    pub(super) name: &'a str,
    /// Nanoseconds of one operation.
    pub(super) ns: f64,
}

impl Bar<'_> {
    /// Whether it is the project's own.
    pub(super) fn is_ours(&self) -> bool {
        self.name.starts_with("credence")
    }
}

/// Rows of bars, by name.
pub(super) type Rows<'a> = BTreeMap<Size<'a>, Vec<Bar<'a>>>;

/// The name of a row, ordered by the number that it begins with: `10k` comes before `281k` and that before `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size<'a> {
    number: u64,
    pub(super) name: &'a str,
}

impl<'a> Size<'a> {
    fn of(name: &'a str) -> Self {
        let digits = name.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(name.len());
        let unit = match &name[digits..] {
            "k" => 1_000,
            "m" => 1_000_000,
            _ => 1,
        };
        Self { number: name[..digits].parse::<u64>().map_or(0, |number| number * unit), name }
    }
}

impl Estimates {
    /// Reads every estimate below `directory`, as criterion leaves them.
    ///
    /// # Errors
    /// When a file cannot be read or is not what criterion writes.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut all = Self::default();
        all.collect(directory)?;
        Ok(all)
    }

    fn collect(&mut self, directory: &Path) -> Result<()> {
        for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && path.ends_with("new") {
                let (id, ns) = estimate(&path).with_context(|| path.display().to_string())?;
                self.0.insert(id, ns);
            } else if path.is_dir() {
                self.collect(&path)?;
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text that [`Estimates::parse`] reads. Three digits are more than a shared machine can tell.
    pub(super) fn text(&self) -> String {
        let rounded: BTreeMap<_, _> = self.0.iter().map(|(id, ns)| (id, rounded(*ns))).collect();
        format!("{:#}\n", json!(rounded))
    }

    /// Reads what [`Estimates::text`] wrote.
    ///
    /// # Errors
    /// When it is no object of numbers.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(Self(serde_json::from_str(text)?))
    }

    /// The charts: what is compared, without its size and its implementation. Loops that wait for each answer are a chart
    /// of their own.
    pub(super) fn charts(&self) -> BTreeMap<String, Rows<'_>> {
        let mut charts: BTreeMap<String, Rows<'_>> = BTreeMap::new();
        for (id, ns) in &self.0 {
            let Some((row, implementation)) = id.rsplit_once('/') else { continue };
            let Some((chart, size)) = row.rsplit_once('/') else { continue };
            let (name, chart) = match implementation.strip_suffix("_dependent") {
                Some(name) => (name, format!("{chart}/dependent")),
                None => (implementation.strip_suffix("_loop").unwrap_or(implementation), chart.to_owned()),
            };
            let bar = Bar { name, ns: rounded(*ns) };
            charts.entry(chart).or_default().entry(Size::of(size)).or_default().push(bar);
        }
        // A yardstick, or a part of ours by itself, is compared with nothing.
        let compares = |bars: &Vec<Bar<'_>>| bars.iter().any(Bar::is_ours) && !bars.iter().all(Bar::is_ours);
        charts.retain(|_, rows| rows.values().any(compares));
        for bars in charts.values_mut().flat_map(BTreeMap::values_mut) {
            // Ours first, then the quicker ones.
            bars.sort_by(|a, b| b.is_ours().cmp(&a.is_ours()).then(a.ns.total_cmp(&b.ns)));
        }
        charts
    }
}

/// The quickest of the project's own among `bars`.
pub(super) fn ours<'a>(bars: &[Bar<'a>]) -> Option<Bar<'a>> {
    bars.iter().copied().find(Bar::is_ours)
}

/// Nanoseconds with their unit, as short as they can be told: `5.3 ns`, `474 ns`, `1.7 µs`.
pub(super) fn shown(ns: f64) -> String {
    let (value, unit) = [(1e6, "ms"), (1e3, "µs")]
        .into_iter()
        .find(|(size, _)| ns >= *size)
        .map_or((ns, "ns"), |(size, unit)| (ns / size, unit));
    if value < 100.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Three digits of it.
fn rounded(ns: f64) -> f64 {
    let scale = 10_f64.powf(2.0 - ns.max(1e-3).log10().floor());
    (ns * scale).round() / scale
}

/// The id and the median of one bench, a single operation of it.
fn estimate(directory: &Path) -> Result<(String, f64)> {
    let read = |name: &str| -> Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(directory.join(name)).with_context(|| name.to_owned())?)?)
    };
    let (bench, estimates) = (read("benchmark.json")?, read("estimates.json")?);
    let id = bench["full_id"].as_str().context("a bench without an id")?;
    let median = estimates["median"]["point_estimate"].as_f64().context("estimates without a median")?;
    let operations = bench["throughput"]["Elements"].as_f64().unwrap_or(1.0).max(1.0);
    Ok((id.to_owned(), median / operations))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn sample() -> Estimates {
        let text = r#"{
            "lookup/hit/1m/credence_batch": 10.0, "lookup/hit/1m/credence_dependent": 290.0,
            "lookup/hit/1m/treebitmap_loop": 790.0, "lookup/hit/1m/treebitmap_dependent": 801.0,
            "lookup/hit/10k/credence_batch": 4.0, "lookup/hit/10k/treebitmap_loop": 90.0,
            "line/yardstick/dependent": 1.1, "source/quiet/credence": 3.0,
            "parse/tcp/credence": 13.6, "parse/tcp/etherparse": 47.2
        }"#;
        Estimates::parse(text).unwrap()
    }

    #[test]
    fn a_median_is_divided_by_the_operations_of_an_iteration() {
        let directory = tempfile::tempdir().unwrap();
        let new = directory.path().join("lookup_hit_1m/credence_batch/new");
        fs::create_dir_all(&new).unwrap();
        let bench = r#"{"full_id":"lookup/hit/1m/credence_batch","throughput":{"Elements":4096}}"#;
        fs::write(new.join("benchmark.json"), bench).unwrap();
        fs::write(new.join("estimates.json"), r#"{"median":{"point_estimate":40960.0}}"#).unwrap();
        let read = Estimates::read(directory.path()).unwrap();
        assert_eq!(read.0, BTreeMap::from([("lookup/hit/1m/credence_batch".to_owned(), 10.0)]));
        assert_eq!(Estimates::parse(&read.text()).unwrap(), read);
    }

    #[test]
    fn sizes_stand_in_their_order_and_ours_before_others() {
        let estimates = sample();
        let charts = estimates.charts();
        assert_eq!(charts.keys().collect::<Vec<_>>(), ["lookup/hit", "lookup/hit/dependent", "parse"]);
        let rows: Vec<_> = charts["lookup/hit"].keys().map(|size| size.name).collect();
        assert_eq!(rows, ["10k", "1m"]);
        let bars = &charts["lookup/hit"][&Size::of("1m")];
        assert_eq!(bars.iter().map(|bar| bar.name).collect::<Vec<_>>(), ["credence_batch", "treebitmap"]);
        assert_eq!(ours(bars).unwrap().ns, 10.0);
    }

    #[test]
    fn times_are_told_in_few_digits() {
        assert_eq!([5.31, 473.6, 1_712.0, 2.5e6].map(shown), ["5.3 ns", "474 ns", "1.7 µs", "2.5 ms"]);
        assert_eq!([13.6543, 473.61, 1712.4].map(rounded), [13.7, 474.0, 1710.0]);
    }
}
