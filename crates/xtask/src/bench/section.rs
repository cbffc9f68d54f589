//! The part of the README that the tool writes.

use anyhow::{Context as _, Result, ensure};

use super::chart;
use super::estimates::{Bar, Estimates, Rows, ours, shown};

const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --write` -->\n";
const END: &str = "<!-- figures: end -->\n";

/// Of parsing, the rows that are shown; the chart shows all.
const PARSED: [&str; 4] = ["tcp", "options_7", "fragment_first", "six_in_six"];

/// The README with its figures replaced.
///
/// # Errors
/// When the two markers are not there, once each and in their order.
pub(super) fn replaced(readme: &str, estimates: &Estimates) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).with_context(|| format!("README.md lacks {BEGIN}"))?;
    let (old, after) = rest.split_once(END).with_context(|| format!("README.md lacks {END}"))?;
    ensure!(![before, old, after].iter().any(|part| part.contains(BEGIN)), "README.md has two {BEGIN}");
    Ok(format!("{before}{BEGIN}\n{}\n{}\n{END}{after}", table(estimates), pictures(estimates)))
}

/// A line for each row of each chart.
pub(super) fn table(estimates: &Estimates) -> String {
    let mut text = "| what | credence | beside it, same run |\n|---|---|---|\n".to_owned();
    for (chart, rows) in &estimates.charts() {
        text.push_str(&lines(chart, rows));
    }
    text
}

fn lines(chart: &str, rows: &Rows<'_>) -> String {
    let is_shown = |name: &str| chart != "parse" || PARSED.contains(&name);
    let line = |(size, bars): (&_, &Vec<Bar<'_>>)| -> Option<String> {
        let size: &super::estimates::Size<'_> = size;
        let best = ours(bars).filter(|_| is_shown(size.name))?;
        let others: Vec<_> = bars.iter().filter(|bar| !bar.is_ours()).map(|bar| beside(bar, best)).collect();
        let others = if others.is_empty() { "–".to_owned() } else { others.join("; ") };
        Some(format!("| {chart}, {} | **{}** | {others} |\n", size.name, shown(best.ns)))
    };
    rows.iter().filter_map(line).collect()
}

/// Another implementation, and how many times ours it takes.
fn beside(bar: &Bar<'_>, ours: Bar<'_>) -> String {
    format!("`{}` {} ({:.1}×)", bar.name, shown(bar.ns), bar.ns / ours.ns)
}

/// The charts, by reference.
fn pictures(estimates: &Estimates) -> String {
    let picture = |(chart, _): (&String, _)| {
        format!("![{chart}: time of one operation](benches/results/{})\n", chart::file_name(chart))
    };
    estimates.charts().iter().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::super::estimates::tests::sample;
    use super::*;

    #[test]
    fn a_row_tells_ours_and_how_many_times_that_others_take() {
        let table = table(&sample());
        assert!(
            table.contains("| lookup/hit, 1m | **10.0 ns** | `treebitmap` 790 ns (79.0×) |\n"),
            "{table}"
        );
        assert!(table.contains("| parse, tcp | **13.6 ns** | `etherparse` 47.2 ns (3.5×) |\n"), "{table}");
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let readme = format!("# a\n{BEGIN}old\n{END}z\n");
        let once = replaced(&readme, &sample()).unwrap();
        assert!(once.starts_with("# a\n") && once.ends_with(&format!("{END}z\n")) && !once.contains("old"));
        assert_eq!(replaced(&once, &sample()).unwrap(), once);
        assert!(replaced("# a\n", &sample()).is_err());
        assert!(replaced(&format!("{readme}{readme}"), &sample()).is_err());
    }
}
