//! What was wrong is taken back: by its issuer, and by seats that hand a file on.

use std::fs;

use credence_law::party::Function;

use super::accessible::check;
use super::browser::{Browser, Look};
use super::files::BEHIND_PROXY;
use super::life::decide;
use super::officers::{choose, evidence, printed, receipt, sign_and_hand_in, sign_in};
use super::world::{Site, id};

#[test]
fn an_issuer_corrects_its_own_alert() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);
    let key = site.place().member(1, Function::Alerts);
    sign_in(&mut browser, &site, &server, &key);
    browser.follow("Correct an act that was wrong");
    check(&mut browser, "the form of a correction");
    browser.fill("act", &"0".repeat(64));
    browser.follow("Prepare");
    assert!(browser.words().contains("No act of this identity is known here"), "{}", browser.words());
    browser.complaints();
    browser.fill("act", &id(&alert).to_string());
    choose(&mut browser, "ground", "what it says is wrong");
    browser.follow("Prepare");
    assert!(browser.words().contains("within 5 minutes of preparing it"), "{}", browser.words());
    sign_and_hand_in(&mut browser, &site, &[key]);
    receipt(&mut browser);
    browser.visit(&server.url(&format!("/act/{}", id(&alert))));
    assert!(browser.words().contains("Taken back, because it was wrong"), "{}", browser.words());
    browser.picture("act-corrected-wide");
    check(&mut browser, "an act that was corrected");
}

/// Each seat has its key on a machine of its own, and only the last is at the desk.
#[test]
fn seats_that_hand_a_file_on_uphold_a_complaint() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve_with(BEHIND_PROXY);
    let [.., decision] = decide(&site, &server, &[]);
    browser.come_from("2001:db8:4020::77");
    browser.visit(&server.url(&format!("/complain?act={decision}")));
    browser.fill("statement", "This host was rebuilt before that.");
    browser.follow("Complain");
    let path = browser.read("document.querySelector('a[href^=\"/complaint/\"]').innerText");
    let relieved = server.get("/subjects/2001:db8:4020::1").json();
    assert_eq!(relieved["acts"][0]["state"], "relieved", "nobody is cut off while they are heard");

    let seats = [1, 3, 5].map(|member| site.place().member(member, Function::Decisions));
    sign_in(&mut browser, &site, &server, &seats[0]);
    browser.follow("Go on with it");
    choose(&mut browser, "stage", "Consultation");
    choose(&mut browser, "ruling", "Upheld");
    browser.fill("reasons", &evidence(&site));
    browser.follow("Prepare");
    let words = browser.words();
    assert!(
        words.contains("It takes 3 seats") && words.contains("within 24 hours of preparing it"),
        "{words}"
    );
    browser.picture("draft-joint-wide");
    check(&mut browser, "a draft that several sign");
    browser.look(Look::NARROW.dark());
    browser.picture("draft-joint-narrow-dark");
    browser.look(Look::WIDE);
    let (world, mut file) = (site.world.to_string(), site.path().join("prepared.act"));
    fs::write(&file, browser.download("a[download]")).unwrap();
    let mut signed = String::new();
    for (number, seat) in seats.iter().enumerate() {
        let next = site.path().join(format!("signed-{number}.act"));
        let [from, key, to] = [&file, seat, &next].map(|path| path.to_str().unwrap());
        signed = printed(&["sign", "act", from, "--world", &world, "--key", key, "-o", to]);
        file = next;
    }
    sign_in(&mut browser, &site, &server, &seats[2]);
    browser.fill("signed", &signed);
    browser.follow("Hand in");
    receipt(&mut browser);
    browser.visit(&server.url(&path));
    let words = browser.words();
    assert!(words.contains("Upheld: you were right") && !words.contains("What comes"), "{words}");
    browser.picture("hearing-upheld-wide");
    check(&mut browser, "a hearing that is over");
    assert_eq!(server.get("/subjects/2001:db8:4020::1").json()["score"], serde_json::Value::Null);
}
