//! The dashboards: what holds for every panel. That its expressions find data, a test with Prometheus shows.

use std::collections::BTreeSet;

use serde_json::Value;

use super::text;

/// The dashboards about gateways, by file.
pub(crate) const OF_GATEWAYS: &[&str] =
    &["grafana/dashboards/traffic.json", "grafana/dashboards/health.json"];
/// The one about an alert platform.
pub(crate) const OF_PLATFORMS: &[&str] = &["grafana/dashboards/platform.json"];
/// The kinds of panels that Grafana has had since 7.5.
const KINDS: [&str; 6] = ["timeseries", "stat", "gauge", "bargauge", "table", "heatmap"];
/// Grafana's words for packets, bits and events in a second, shares from 0 to 1, seconds, bytes, and bare numbers.
const UNITS: [&str; 7] = ["pps", "bps", "cps", "percentunit", "s", "bytes", "short"];
/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// Heights at which a panel can be read and does not fill a screen.
const HEIGHTS: std::ops::RangeInclusive<u64> = 4..=10;

/// An expression of a panel, and what it is called in messages.
pub(crate) struct Expression {
    pub(crate) name: String,
    pub(crate) text: String,
}

fn dashboards() -> Vec<Value> {
    read(&[OF_GATEWAYS, OF_PLATFORMS].concat())
}

fn read(files: &[&str]) -> Vec<Value> {
    let read =
        |file: &&str| serde_json::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    files.iter().map(read).collect()
}

fn list<'v>(of: &'v Value, pointer: &str) -> &'v [Value] {
    of.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {pointer} in {of}"))
}

fn word<'v>(of: &'v Value, pointer: &str) -> &'v str {
    let found = of.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    assert!(!found.is_empty(), "no {pointer} in {of}");
    found
}

fn number(of: &Value, pointer: &str) -> u64 {
    of.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {pointer} in {of}"))
}

/// Every panel of these, with the name of its dashboard before its own.
fn panels(dashboards: &[Value]) -> Vec<(String, Value)> {
    let named = |dashboard: &Value| -> Vec<(String, Value)> {
        let of = word(dashboard, "/title");
        let all = list(dashboard, "/panels").iter();
        all.map(|panel| (format!("{of}: {}", word(panel, "/title")), panel.clone())).collect()
    };
    dashboards.iter().flat_map(named).collect()
}

/// Every expression of every panel of these files, and of the variables.
pub(crate) fn expressions(files: &[&str]) -> Vec<Expression> {
    let dashboards = read(files);
    let of_panel = |(name, panel): &(String, Value)| -> Vec<Expression> {
        let targets = list(panel, "/targets").iter();
        targets.map(|target| Expression { name: name.clone(), text: word(target, "/expr").into() }).collect()
    };
    panels(&dashboards).iter().flat_map(of_panel).chain(dashboards.iter().flat_map(variables)).collect()
}

/// The selectors of which the variables list values.
fn variables(dashboard: &Value) -> Vec<Expression> {
    let queries = list(dashboard, "/templating/list").iter().filter(|variable| variable["type"] == "query");
    let selector = |variable: &Value| {
        let query = word(variable, "/query/query").strip_prefix("label_values(").expect("values of a label");
        let (text, _) = query.rsplit_once(", ").expect("a selector and a label");
        Expression { name: format!("variable {}", word(variable, "/name")), text: text.into() }
    };
    queries.map(selector).collect()
}

/// The pieces of `text` between `open` and the next `close`.
fn between(text: &str, open: char, close: char) -> Vec<&str> {
    text.split(open).skip(1).map(|rest| rest.split(close).next().unwrap_or_default()).collect()
}

#[test]
fn a_dashboard_is_known_by_its_name_and_takes_any_data_source() {
    let mut names = BTreeSet::new();
    for dashboard in dashboards() {
        assert!(dashboard.get("id").is_none(), "numbers are Grafana's own");
        assert!(names.insert(word(&dashboard, "/uid").to_owned()));
        word(&dashboard, "/description");
        assert_eq!(dashboard["tags"], serde_json::json!(["credence"]));
        let variables: Vec<_> =
            list(&dashboard, "/templating/list").iter().map(|variable| word(variable, "/name")).collect();
        assert_eq!(variables, ["datasource", "job", "instance"]);
    }
}

#[test]
fn a_panel_says_what_it_shows_and_in_which_unit() {
    let mut titles = BTreeSet::new();
    for (name, panel) in panels(&dashboards()) {
        assert!(titles.insert(name.clone()), "{name} is there twice");
        assert!(word(&panel, "/description").len() > 20, "{name}");
        assert!(KINDS.contains(&word(&panel, "/type")), "{name}");
        assert!(UNITS.contains(&word(&panel, "/fieldConfig/defaults/unit")), "{name}");
        assert_eq!(word(&panel, "/datasource"), "${datasource}", "{name}");
        let targets = list(&panel, "/targets");
        assert!(!targets.is_empty(), "{name}");
        let are_told_apart = targets.iter().all(|target| target.get("legendFormat").is_some());
        assert!(panel["type"] != "timeseries" || are_told_apart, "{name} has a line without a name");
    }
}

#[test]
fn rates_follow_the_scrape_interval_and_selectors_follow_the_variables() {
    let all = expressions(&[OF_GATEWAYS, OF_PLATFORMS].concat());
    for Expression { name, text } in all.iter().filter(|each| !each.name.starts_with("variable")) {
        for window in between(text, '[', ']') {
            assert!(["$__rate_interval", "$__range"].contains(&window), "{name}: [{window}]");
        }
        for (at, _) in text.match_indices("rate(") {
            let window = between(&text[at..], '[', ']')[0];
            assert_eq!(window, "$__rate_interval", "{name}: {text}");
        }
        let selectors = between(text, '{', '}');
        assert!(!selectors.is_empty(), "{name}: {text}");
        for selector in selectors {
            assert!(selector.contains("job=\"$job\""), "{name}: {{{selector}}}");
        }
    }
}

#[test]
fn panels_lie_side_by_side_without_holes() {
    for dashboard in dashboards() {
        let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard, "/panels") {
            let name = word(panel, "/title");
            let place = |side: &str| number(panel, &format!("/gridPos/{side}"));
            let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
            assert!(ids.insert(number(panel, "/id")), "{name}: links to panels go by their number");
            assert!(x + w <= COLUMNS && w >= 4 && HEIGHTS.contains(&h), "{name}: {w} × {h} at {x}");
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (row, column))) {
                assert!(taken.insert(cell), "{name} lies over another panel");
            }
        }
        let rows = 1 + taken.last().expect("a panel").0;
        assert_eq!(taken.len() as u64, rows * COLUMNS, "{} has holes", word(&dashboard, "/title"));
    }
}

#[test]
fn provisioning_names_what_is_there() {
    let sources = text("grafana/provisioning/datasources/credence.yml");
    assert!(sources.contains("type: prometheus") && sources.contains("apiVersion: 1"), "{sources}");
    let interval = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(key)).expect("an interval");
        line.rsplit_once(' ').expect("a value").1.to_owned()
    };
    let scraped = interval(&text("prometheus/scrape.yml"), "scrape_interval:");
    assert_eq!(interval(&sources, "timeInterval:"), scraped, "`$__rate_interval` is made of it");
    let boards = text("grafana/provisioning/dashboards/credence.yml");
    assert!(boards.contains("type: file") && boards.contains("apiVersion: 1"), "{boards}");
}
