//! The pages for anyone, in a real browser.

use credence_law::acts::{Preamble, Purpose, Repair};
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, Party};

use super::accessible::{check, tabbed};
use super::browser::{Browser, Look};
use super::world::{Server, Site, claim, id, preamble};

/// The page of an address.
fn asked(server: &Server, address: &str) -> String {
    server.url(&format!("/?address={address}"))
}

#[test]
fn anybody_looks_an_address_up() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);
    let name = id(&alert).to_string();

    browser.visit(&server.url("/"));
    assert_eq!(browser.read("document.title"), "Look an address up · Credit of IPv6 addresses");
    browser.picture("first-wide");
    check(&mut browser, "the first page");
    browser.fill("address", "2001:db8:1020:3::9");
    browser.enter();
    let words = browser.words();
    for told in [
        "Example world.",
        "2001:db8:1020:3::/64",
        "520 of 1000 normal",
        "What everybody begins with 650",
        "scanning −130",
        "Score 520",
        "Alert by the holder",
        "Fjord Fibre (member 1)",
        "slow the traffic down",
        "catalogue 1, standard 1",
        "entry 4 of the log",
        "https://complaints.example/1",
    ] {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }
    browser.picture("address-wide");
    check(&mut browser, "an address with an alert");
    browser.look(Look::NARROW);
    browser.picture("address-narrow");
    browser.look(Look::NARROW.dark());
    browser.picture("address-narrow-dark");
    browser.look(Look::WIDE.dark());
    browser.picture("address-wide-dark");
    browser.look(Look::WIDE.forced());
    browser.picture("address-wide-forced");
    browser.look(Look::WIDE);

    browser.follow("Alert by the holder");
    let words = browser.words();
    for told in
        ["In force; ends in 23 hours", "confirmed: the source answered", &name, "one key", "hears objections"]
    {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }
    browser.picture("act-wide");
    check(&mut browser, "an act");

    browser.visit(&asked(&server, "2001:db8:1021::1"));
    let words = browser.words();
    assert!(words.contains("unrated") && words.contains("No act in force"), "{words}");
    check(&mut browser, "an unrated address");
    browser.visit(&asked(&server, "2a00::1"));
    assert!(browser.words().contains("No member answers for these addresses"), "{}", browser.words());
    browser.picture("address-unheld-wide");
}

#[test]
fn the_institution_shows_itself() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 0x20)).status, 201);
    let pages = [
        ("Rules", "rules", ["credential attack", "−40 % of what is left", "seriously dishonest"]),
        ("Members", "members", ["Fjord Fibre", "2001:db8:1000::/36", "Relief Desk"]),
        (
            "Record",
            "record",
            ["0 % of all alerts and decisions, 1 so far", "not yet", "The coordinating body rules 14"],
        ),
        ("Log", "log", ["5 entries", "Alert by the holder", "credence/"]),
        ("How it works", "how", ["Addresses, not people", "Everything ends", "Nobody has to be believed"]),
    ];
    browser.visit(&server.url("/"));
    for (link, name, expected) in pages {
        browser.follow(link);
        let words = browser.words();
        for told in expected.into_iter().chain(["Example world."]) {
            assert!(words.contains(told), "{told:?} is not on {name}:\n{words}");
        }
        browser.picture(&format!("{name}-wide"));
        check(&mut browser, name);
        browser.look(Look::NARROW);
        browser.picture(&format!("{name}-narrow"));
        browser.look(Look::WIDE);
    }
}

#[test]
fn a_wrong_address_is_told_beside_the_field_and_stays_in_it() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    browser.forbid_script(true);
    browser.visit(&server.url("/"));
    for (typed, told) in [
        ("192.0.2.7", "This is an IPv4 address."),
        ("2001:db8::1/32", "Did you mean 2001:db8::/32?"),
        ("<script>alert(1)</script>", "This is no IPv6 address"),
        ("=HYPERLINK(\"x\")", "This is no IPv6 address"),
        ("\u{202e}1::8bd", "This is no IPv6 address"),
    ] {
        browser.fill("address", typed);
        browser.enter();
        assert_eq!(browser.read("document.getElementById('address').value"), typed);
        let beside = "document.getElementById(document.getElementById('address').getAttribute('aria-describedby')).innerText";
        assert!(browser.read(beside).contains(told), "{typed}");
    }
    // A page of a status that says so is a complaint of the network's and no other.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("400 (Bad Request)")), "{complaints:#?}");
    browser.forbid_script(false);
    browser.picture("fault-wide");
    check(&mut browser, "a fault beside the field");
    browser.visit(&server.url("/nothing"));
    assert!(browser.words().contains("There is no page of this name"), "{}", browser.words());
    browser.complaints();
    check(&mut browser, "a page that is not there");
}

#[test]
fn everything_is_reached_by_keyboard_in_the_order_of_reading() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 0x20)).status, 201);
    browser.look(Look::NARROW);
    browser.visit(&server.url("/"));
    let names = tabbed(&mut browser, 40);
    let expected = [
        "Skip to the content",
        "Credit of IPv6 addresses",
        "Look up",
        "Rules",
        "Members",
        "Record",
        "Log",
        "How it works",
        "Desk",
        "IPv6 address or prefix",
        "Look up",
        "How it works",
        "public log",
    ];
    assert_eq!(names, expected);
    // The first thing leads past the navigation.
    browser.visit(&server.url("/rules"));
    browser.press("Tab");
    browser.press("Enter");
    browser.press("Tab");
    assert_eq!(browser.read("document.activeElement.getAttribute('aria-label')"), "Catalogue");
    browser.look(Look::WIDE);
    browser.visit(&asked(&server, "2001:db8:1020::1"));
    let names = tabbed(&mut browser, 60);
    for name in ["scanning", "Alert by the holder", "entry 4 of the log", "https://complaints.example/1"] {
        assert!(names.iter().any(|reached| reached == name), "{name} is not among {names:?}");
    }
}

/// Words of parties are shown as they are, whatever they look like.
#[test]
fn hostile_words_are_shown_and_do_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);
    let hostile = "</dd><script>document.title='x'</script><img src=x onerror=alert(1)> =HYPERLINK(\"x\") {{7*7}} &lt;b&gt; ';--";
    let preamble = preamble(Party::Member(MemberId(1)), 2, Purpose::Relief);
    let repair = Repair {
        probation_until: preamble.issued + 40 * 86_400,
        preamble: Preamble { expires: preamble.issued + 60 * 86_400, ..preamble },
        subject: claim("2001:db8:1020::/48".parse().unwrap()).subject,
        act: id(&alert),
        remedy: Text::new(hostile).unwrap(),
    };
    let repair = site.signed(repair, Function::Alerts, &[1]);
    let taken = server.hand_in(&repair);
    assert_eq!(taken.status, 201, "{}", taken.text());
    browser.visit(&server.url(&format!("/act/{}", id(&repair))));
    assert!(browser.words().contains(hostile), "{}", browser.words());
    assert_eq!(browser.evaluate("document.querySelectorAll('main script, main img, main b').length"), 0);
    assert!(browser.read("document.title").starts_with("Repair"));
    check(&mut browser, "an act with hostile words");
    // Characters that turn the direction of writing never come so far.
    assert!(Text::new("abc\u{202e}def").is_err() && Text::new("a\nb").is_err());
}

#[test]
fn every_page_is_guarded_and_kept_by_nobody() {
    let site = Site::new();
    let server = site.serve();
    let pages = [
        "/",
        "/?address=2001:db8::1",
        "/rules",
        "/members",
        "/record",
        "/log",
        "/how",
        "/file",
        "/sign-in",
        "/x",
    ];
    for path in pages {
        let head = server.get(path).head.to_lowercase();
        for line in [
            "content-security-policy: default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(line), "{path} lacks {line}: {head}");
        }
    }
    let large = vec![b'a'; (1 << 18) + 1];
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(server.ask_with("POST", "/sign-in", form, &large).unwrap().status, 413);
}
