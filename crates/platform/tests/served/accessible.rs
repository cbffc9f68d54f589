//! What makes a page readable for everybody, checked on the page as the browser has it.

use std::fs;

use serde_json::Value;

use super::browser::{Browser, Look};

/// What a page must have, whoever looks at it: the list of what it lacks.
///
/// Contrast is that of WCAG 2.2, 1.4.3: each text against the nearest ground behind it, 4.5 to 1, or 3 to 1 for large text.
const LACKS: &str = r#"(() => {
  const lacks = [], all = q => [...document.querySelectorAll(q)];
  const name = e => e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') || '').split(' ')
    .map(id => document.getElementById(id)?.innerText || '').join(' ').trim() || e.innerText?.trim() || '';
  const brief = e => e.outerHTML.slice(0, 120);
  if (document.documentElement.lang !== 'en') lacks.push('no language');
  if (all('h1').length !== 1) lacks.push('not one first heading');
  let level = 0;
  for (const h of all('h1,h2,h3,h4,h5,h6')) {
    const own = +h.tagName[1];
    if (own > level + 1) lacks.push('a heading leaves a level out: ' + brief(h));
    level = own;
  }
  if (all('main').length !== 1 || all('header').length < 1 || all('nav').length < 1) lacks.push('a landmark is missing');
  for (const e of all('a,button,summary')) if (!name(e)) lacks.push('no name: ' + brief(e));
  for (const e of all('input:not([type=hidden]),select,textarea'))
    if (!e.labels?.length) lacks.push('no label: ' + brief(e));
  for (const e of all('[aria-labelledby],[aria-describedby]'))
    for (const id of ((e.getAttribute('aria-labelledby') || '') + ' ' + (e.getAttribute('aria-describedby') || '')).split(' '))
      if (id && !document.getElementById(id)) lacks.push('names what is not there: ' + brief(e));
  for (const e of all('svg')) if (!e.closest('[aria-hidden=true]') && !(e.getAttribute('role') === 'img' && name(e)))
    lacks.push('a picture without words: ' + brief(e));
  for (const t of all('table')) if (!t.querySelector('th')) lacks.push('a table without headings: ' + brief(t));
  const ids = all('[id]').map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) lacks.push('an identity twice: ' + id);
  if (document.documentElement.scrollWidth > innerWidth) lacks.push('wider than the window: ' + document.documentElement.scrollWidth);
  for (const e of all('*')) if (e.hasAttribute('style') || [...e.attributes].some(a => a.name.startsWith('on')))
    lacks.push('style or script in an attribute: ' + brief(e));
  if (matchMedia('(forced-colors: active)').matches) return lacks;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = text => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = c => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const ground = e => { for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!walk.currentNode.data.trim() || box.width === 0 || box.right < 0 || style.visibility === 'hidden' || e.closest('svg')) continue;
    const [one, two] = [light(colour(style.color)), light(ground(e))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if ((one + 0.05) / (two + 0.05) < (large ? 3 : 4.5)) lacks.push('contrast ' + ((one + 0.05) / (two + 0.05)).toFixed(2) + ': ' + brief(e));
  }
  return lacks;
})()"#;

/// That a page is readable for everybody in each look, and that the browser has nothing to say against it.
#[track_caller]
pub(crate) fn check(browser: &mut Browser, what: &str) {
    for look in [Look::WIDE, Look::NARROW, Look::WIDE.dark(), Look::NARROW.dark(), Look::WIDE.forced()] {
        browser.look(look);
        let lacks = browser.evaluate(LACKS);
        assert_eq!(lacks, serde_json::json!([]), "{what} in {look:?}");
        let found = judged(browser);
        assert!(found.is_empty(), "{what} in {look:?}: {found:#?}");
    }
    browser.look(Look::WIDE);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{what}: {complaints:#?}");
}

/// What axe-core finds, where the variable names its script; `cargo xtask test` brings it.
fn judged(browser: &mut Browser) -> Vec<Value> {
    let Some(path) = std::env::var_os("AXE_CORE") else { return Vec::new() };
    let axe = fs::read_to_string(path).expect("AXE_CORE names a script");
    let rules = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']";
    browser.evaluate(&format!("{axe};0"));
    let found = browser.evaluate(&format!(
        "axe.run(document, {{ runOnly: {rules} }}).then(it => it.violations.map(v => \
         ({{ rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + ' ' + n.failureSummary) }})))"
    ));
    found.as_array().cloned().expect("axe lists what it finds")
}

/// Goes through a page with the Tab key, and returns the names of what had the focus, in order. Each must be seen to have it.
#[track_caller]
pub(crate) fn tabbed(browser: &mut Browser, most: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..most {
        browser.press("Tab");
        let seen = browser.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e); if (e === document.body) return null; \
             const box = e.getBoundingClientRect(); \
             return [(e.labels?.[0] || e).innerText.trim() || e.getAttribute('aria-label') || '', \
             s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && box.right > 0]; })()",
        );
        let Some(seen) = seen.as_array() else { break };
        let name = seen[0].as_str().unwrap().lines().next().unwrap_or_default().to_owned();
        assert!(seen[1] == true, "nobody sees that {name:?} has the focus");
        names.push(name);
    }
    names
}
