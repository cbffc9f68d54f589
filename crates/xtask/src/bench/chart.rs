//! Bar charts as SVG, made from a template: two dozen lines of it are leaner than a plotting library.
//!
//! A chart has a group of bars for each size and a bar for each implementation, ours in a colour of its own. Colours come
//! from a style sheet with a light and a dark half, so that the picture is legible on either ground. The scale is
//! logarithmic where the longest bar would make the shortest invisible.

use super::estimates::{Bar, Estimates, Rows, ours, shown};

const WIDTH: f64 = 860.0;
/// Where bars begin, behind the names.
const LEFT: f64 = 210.0;
/// The longest bar.
const SPAN: f64 = 500.0;
const TOP: f64 = 64.0;
const BAR: f64 = 16.0;
/// From one bar to the next.
const PITCH: f64 = 21.0;
/// Of a group's name, and of the space behind a group.
const GROUP: f64 = 24.0;
const GAP: f64 = 10.0;
/// Where the longest is so many times the shortest, the scale is logarithmic.
const LOG_FROM: f64 = 15.0;

const STYLE: &str = "\
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }
  .title { font-size: 17px; font-weight: 600 }
  .note, .tick { fill: #57606a; font-size: 12px }
  .group { font-weight: 600 }
  .name { text-anchor: end }
  .tick { text-anchor: middle }
  .value { font-size: 12px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
  .line { stroke: #d0d7de; stroke-width: 1 }
  .ours { fill: #0969da }
  .other { fill: #afb8c1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .tick { fill: #8d96a0 }
    .line { stroke: #30363d }
    .value { stroke: #0d1117 }
    .ours { fill: #4493f8 }
    .other { fill: #59636e }
  }
";

/// Every chart, with the name of its file.
pub(super) fn all(estimates: &Estimates) -> Vec<(String, String)> {
    let charts = estimates.charts();
    charts.iter().map(|(chart, rows)| (file_name(chart), svg(chart, rows))).collect()
}

/// The file that a chart is kept in.
pub(super) fn file_name(chart: &str) -> String {
    format!("{}.svg", chart.replace('/', "-"))
}

/// How long a bar is.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Linear { most: f64, step: f64 },
    Logarithmic { least: f64, most: f64 },
}

impl Scale {
    /// The scale on which all of `rows` can be seen.
    fn of(rows: &Rows<'_>) -> Self {
        let all = || rows.values().flatten().map(|bar| bar.ns);
        let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN_POSITIVE, f64::max));
        if most / least >= LOG_FROM {
            // A decade below, so that the shortest bar can be seen too.
            return Self::Logarithmic { least: decade(least / 2.0), most };
        }
        let unit = decade(most);
        let step = [0.2, 0.5, 1.0, 2.0].into_iter().map(|part| part * unit).find(|step| most / step <= 6.0);
        Self::Linear { most, step: step.unwrap_or(unit) }
    }

    /// Length of a bar of `ns`.
    fn length(self, ns: f64) -> f64 {
        match self {
            Self::Linear { most, .. } => SPAN * ns / most,
            Self::Logarithmic { least, most } => SPAN * (ns / least).ln() / (most / least).ln(),
        }
    }

    /// Where lines stand behind the bars.
    fn ticks(self) -> Vec<f64> {
        let (first, most, next): (f64, f64, Box<dyn Fn(f64) -> f64>) = match self {
            Self::Linear { most, step } => (step, most, Box::new(move |at| at + step)),
            Self::Logarithmic { least, most } => (least, most, Box::new(|at| at * 10.0)),
        };
        std::iter::successors(Some(first), |at| Some(next(*at)))
            .take_while(|at| *at <= most * 1.001)
            .collect()
    }

    const fn note(self) -> &'static str {
        match self {
            Self::Linear { .. } => "time of one operation; shorter is better",
            Self::Logarithmic { .. } => "time of one operation, logarithmic scale; shorter is better",
        }
    }
}

/// The power of ten at or below.
fn decade(ns: f64) -> f64 {
    10_f64.powf(ns.log10().floor())
}

fn svg(chart: &str, rows: &Rows<'_>) -> String {
    let scale = Scale::of(rows);
    let bars: usize = rows.values().map(Vec::len).sum();
    let bottom = TOP + bars as f64 * PITCH + rows.len() as f64 * (GROUP + GAP);
    let height = bottom + 28.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>{chart}: time of one operation</title>\n<style>\n{STYLE}</style>\n"
    );
    text.push_str(&label("title", 16.0, 26.0, chart));
    text.push_str(&label("note", 16.0, 46.0, scale.note()));
    for tick in scale.ticks() {
        let x = LEFT + scale.length(tick);
        text.push_str(&format!(
            "<line class=\"line\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n"
        ));
        text.push_str(&label("tick", x, bottom + 18.0, &shown(tick).replace(".0 ", " ")));
    }
    let mut y = TOP;
    for (size, bars) in rows {
        text.push_str(&label("group", 16.0, y + 17.0, &size.name.replace('_', " ")));
        y += GROUP;
        for bar in bars {
            text.push_str(&drawn(bar, ours(bars), scale, y));
            y += PITCH;
        }
        y += GAP;
    }
    text.push_str("</svg>\n");
    text
}

/// A bar with its name, its time, and how many times ours that is.
fn drawn(bar: &Bar<'_>, ours: Option<Bar<'_>>, scale: Scale, y: f64) -> String {
    let class = if bar.is_ours() { "ours" } else { "other" };
    let length = scale.length(bar.ns).max(1.0);
    let ratio =
        ours.filter(|_| !bar.is_ours()).map_or(String::new(), |ours| format!(" · {:.1}×", bar.ns / ours.ns));
    let baseline = y + BAR - 3.5;
    let mut text = label("name", LEFT - 8.0, baseline, &bar.name.replace('_', " "));
    text.push_str(&format!(
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\n"
    ));
    text.push_str(&label("value", LEFT + length + 6.0, baseline, &format!("{}{ratio}", shown(bar.ns))));
    text
}

/// Text at a place. Ids hold letters, digits and a few signs that need no escape; anything else is left out.
fn label(class: &str, x: f64, y: f64, words: &str) -> String {
    let plain: String = words.chars().filter(|letter| !"<>&\"".contains(*letter)).collect();
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{plain}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::super::estimates::tests::sample;
    use super::*;

    #[test]
    fn every_bar_is_drawn_within_the_picture_and_tells_its_ratio() {
        let estimates = sample();
        let charts = all(&estimates);
        assert_eq!(charts.len(), 3);
        for (name, svg) in &charts {
            assert!(svg.ends_with("</svg>\n"), "{name}");
            let widths = svg.lines().filter(|line| line.starts_with("<rect")).map(|line| {
                let width = line.split("width=\"").nth(1).unwrap().split('"').next().unwrap();
                width.parse::<f64>().unwrap()
            });
            assert!(widths.clone().all(|width| (1.0..=SPAN).contains(&width)), "{name}");
            assert_eq!(widths.count(), svg.matches("class=\"name\"").count());
        }
        let lookup = &charts.iter().find(|(name, _)| name == "lookup-hit.svg").unwrap().1;
        assert!(lookup.contains("790 ns · 79.0×") && lookup.contains("logarithmic"), "{lookup}");
    }

    #[test]
    fn lengths_keep_the_order_of_times_on_either_scale() {
        for scale in [Scale::Linear { most: 50.0, step: 10.0 }, Scale::Logarithmic { least: 1.0, most: 50.0 }]
        {
            let lengths: Vec<_> = [2.0, 13.0, 47.0].map(|ns| scale.length(ns)).to_vec();
            assert!(lengths.is_sorted() && (scale.length(50.0) - SPAN).abs() < 1e-9, "{scale:?}");
            assert!(scale.ticks().len() >= 2, "{scale:?}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        assert_eq!(
            label("name", 1.0, 2.0, "<a&b>\""),
            "<text class=\"name\" x=\"1.0\" y=\"2.0\">ab</text>\n"
        );
    }
}
