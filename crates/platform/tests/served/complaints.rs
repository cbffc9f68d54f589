//! A subject who is no member objects to an act, and follows what becomes of it.

use credence_law::party::Function;

use super::accessible::check;
use super::browser::{Browser, Look};
use super::files::BEHIND_PROXY;
use super::officers::{choose, sign_in};
use super::world::{Site, id};

#[test]
fn a_subject_objects_from_inside_its_block_and_follows_the_hearing() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve_with(BEHIND_PROXY);
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);

    // From elsewhere nobody can, and is told the way.
    browser.come_from("2001:db8:5020::1");
    browser.visit(&server.url(&format!("/complain?act={}", id(&alert))));
    let words = browser.words();
    assert!(words.contains("You ask from 2001:db8:5020::1") && words.contains("from inside"), "{words}");
    browser.complaints();
    check(&mut browser, "a complaint from elsewhere");

    browser.come_from("2001:db8:1020:3::77");
    browser.visit(&server.url("/?address=2001:db8:1020:3::77"));
    browser.follow("Ways to object to this act");
    browser.follow("object here");
    assert!(browser.words().contains("from inside 2001:db8:1020:3::/64"), "{}", browser.words());
    browser.picture("complain-wide");
    check(&mut browser, "the form of a complaint");
    choose(&mut browser, "ground", "it goes further");
    browser.follow("Complain");
    assert!(browser.words().contains("Say what is wrong"), "{}", browser.words());
    let chosen = browser.read("document.getElementById('ground').selectedOptions[0].text");
    assert_eq!(chosen, "it goes further than it has to", "what was chosen is kept");
    browser.complaints();
    check(&mut browser, "a complaint with a fault");

    let hostile = "<script>alert(1)</script> \u{202e}=1+1 &amp; 'x'";
    browser.fill("statement", hostile);
    browser.follow("Complain");
    assert_eq!(browser.read("document.querySelector('.said').textContent"), hostile, "text is text");
    browser.picture("complained-wide");
    check(&mut browser, "a receipt for a complaint");
    let path = browser.read("document.querySelector('a[href^=\"/complaint/\"]').innerText");
    browser.follow(&path);
    let words = browser.words();
    for told in ["consultation", "Fjord Fibre (member 1)", "In force", "it goes further than it has to"] {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }
    // Seven whole days in the second in which it was made.
    assert!(["in 6 days", "in 7 days"].iter().any(|left| words.contains(left)), "{words}");
    browser.picture("hearing-wide");
    check(&mut browser, "a hearing");
    browser.look(Look::NARROW.dark());
    browser.picture("hearing-narrow-dark");
    browser.look(Look::WIDE);

    // Neither the log nor the act's own page leads to it, and the member whom it concerns sees it.
    let token = path.rsplit('/').next().unwrap().to_owned();
    for public in ["/log".to_owned(), format!("/act/{}", id(&alert)), "/record".to_owned()] {
        assert!(!server.get(&public).text().contains(&token), "{public}");
    }
    assert_eq!(server.get(&format!("/act/{token}")).status, 404);
    assert_eq!(server.get(&format!("/complaint/{}", id(&alert))).status, 404, "an alert is no complaint");
    sign_in(&mut browser, &site, &server, &site.place().member(1, Function::Alerts));
    assert!(browser.words().contains("A complaint is heard"), "{}", browser.words());
    browser.follow(&token);
    assert!(browser.words().contains("answered a challenge from inside the prefix"), "{}", browser.words());
}
