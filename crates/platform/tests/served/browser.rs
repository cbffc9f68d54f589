//! A real browser, told what to do over two pipes: the DevTools protocol as Chromium speaks it with `--remote-debugging-pipe`,
//! one JSON object after another with a zero byte behind each. No driver and no port lie between.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take for one answer. A busy machine is slow, and one that hangs must not hang the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) is_dark: bool,
    pub(crate) has_forced_colours: bool,
}

impl Look {
    pub(crate) const WIDE: Self = Self { width: 1_280, is_dark: false, has_forced_colours: false };
    pub(crate) const NARROW: Self = Self { width: 360, ..Self::WIDE };

    pub(crate) const fn dark(self) -> Self {
        Self { is_dark: true, ..self }
    }

    pub(crate) const fn forced(self) -> Self {
        Self { has_forced_colours: true, ..self }
    }
}

/// A browser with one page, a profile of its own, and nothing from before.
pub(crate) struct Browser {
    process: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    next: u64,
    session: Option<String>,
    /// What came without being asked for.
    events: Vec<Value>,
    _profile: TempDir,
}

/// Where the browser is, if this machine has one.
fn program() -> Option<&'static str> {
    let runs = |name: &&str| {
        let asked = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs)
}

impl Browser {
    /// A browser, if there is one. Nothing where it is missing and that was allowed; otherwise that is a failure which says so.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = program() else {
            let is_left_out = std::env::var_os("CREDENCE_SKIP_CHROMIUM").is_some_and(|value| value == "1");
            assert!(
                is_left_out,
                "this test needs chromium on the path; set CREDENCE_SKIP_CHROMIUM=1 to do without it"
            );
            println!("skipped: it needs chromium on the path");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The browser takes orders from descriptor 3 and answers on 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec 3<&0 4>&1 0</dev/null 1>/dev/null; exec \"$@\"", "sh", program])
            .args(["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--disable-gpu", "--no-first-run", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        let orders = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
                let answer =
                    serde_json::from_slice(&bytes[..bytes.len() - 1]).expect("the browser speaks JSON");
                if sender.send(answer).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let mut browser = Self {
            process,
            orders,
            answers: receiver,
            next: 1,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        browser.open_page();
        Some(browser)
    }

    fn open_page(&mut self) {
        let target = self.tell("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = self.tell("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.tell(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Gives an order, and returns what came of it.
    #[track_caller]
    pub(crate) fn tell(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.next;
        self.next += 1;
        let mut order = json!({ "id": id, "method": method });
        order["params"] = parameters;
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next_answer(method);
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    #[track_caller]
    fn next_answer(&mut self, waiting_for: &str) -> Value {
        self.answers.recv_timeout(PATIENCE).unwrap_or_else(|fault| panic!("{waiting_for}: {fault}"))
    }

    /// Waits for the next page to be there whole, after what `act` does.
    #[track_caller]
    fn until_loaded(&mut self, act: impl FnOnce(&mut Self)) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        act(self);
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next_answer("a page to be loaded");
            self.events.push(event);
        }
    }

    /// Goes to an address.
    #[track_caller]
    pub(crate) fn visit(&mut self, url: &str) {
        self.until_loaded(|browser| {
            let gone = browser.tell("Page.navigate", json!({ "url": url }));
            assert!(gone["errorText"].is_null(), "{url}: {gone}");
        });
    }

    /// What an expression comes to on the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.tell("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression:.200}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// What an expression comes to, as text.
    #[track_caller]
    pub(crate) fn read(&mut self, expression: &str) -> String {
        self.evaluate(expression).as_str().unwrap_or_default().to_owned()
    }

    /// The words on the page, with one space between each two.
    #[track_caller]
    pub(crate) fn words(&mut self) -> String {
        self.read("document.body.innerText.replace(/\\s+/g, ' ')")
    }

    /// Looks at pages so from now on.
    pub(crate) fn look(&mut self, look: Look) {
        let size = json!({ "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", size);
        let chosen = |name: &str, is_on: bool, on: &str, off: &str| json!({ "name": name, "value": if is_on { on } else { off } });
        let features = [
            chosen("prefers-color-scheme", look.is_dark, "dark", "light"),
            chosen("forced-colors", look.has_forced_colours, "active", "none"),
            chosen("prefers-reduced-motion", true, "reduce", ""),
        ];
        self.tell("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Switches script off, as some readers do, or on again.
    pub(crate) fn forbid_script(&mut self, is_forbidden: bool) {
        self.tell("Emulation.setScriptExecutionDisabled", json!({ "value": is_forbidden }));
    }

    /// Says where requests come from, as a proxy in front of the platform would.
    pub(crate) fn come_from(&mut self, address: &str) {
        self.tell("Network.setExtraHTTPHeaders", json!({ "headers": { "X-Forwarded-For": address } }));
    }

    /// Presses a key by its name.
    pub(crate) fn press(&mut self, key: &str) {
        let code = HashMap::from([("Tab", 9), ("Enter", 13), ("Escape", 27), (" ", 32)])[key];
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.tell("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses Enter, and waits for the page that follows.
    #[track_caller]
    pub(crate) fn enter(&mut self) {
        self.until_loaded(|browser| browser.press("Enter"));
    }

    /// Puts text into the field of this identity, in place of what is there.
    #[track_caller]
    pub(crate) fn fill(&mut self, field: &str, text: &str) {
        self.evaluate(&format!(
            "document.getElementById({field:?}).focus(), document.getElementById({field:?}).select(), 0"
        ));
        self.tell("Input.insertText", json!({ "text": text }));
    }

    /// Follows the link, or presses the button, that has these words.
    #[track_caller]
    pub(crate) fn follow(&mut self, words: &str) {
        let found = format!(
            "(() => {{ const all = [...document.querySelectorAll('a, button')]; \
             const one = all.find(it => it.innerText.trim() === {words:?}); if (one) one.focus(); return !!one; }})()"
        );
        assert!(self.evaluate(&found) == true, "{words:?} is not on the page:\n{}", self.words());
        self.enter();
    }

    /// Follows a link to a file, as a reader would keep it, and returns what it holds.
    #[track_caller]
    pub(crate) fn download(&mut self, link: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let page = self.session.take();
        let place =
            json!({ "behavior": "allowAndName", "downloadPath": folder.path(), "eventsEnabled": true });
        self.tell("Browser.setDownloadBehavior", place);
        self.session = page;
        self.evaluate(&format!("document.querySelector({link:?}).focus(), 0"));
        self.press("Enter");
        loop {
            let is_whole = |event: &&Value| {
                event["method"] == "Browser.downloadProgress" && event["params"]["state"] == "completed"
            };
            if let Some(event) = self.events.iter().find(is_whole) {
                let file = folder.path().join(event["params"]["guid"].as_str().unwrap());
                self.events.clear();
                return fs::read(file).unwrap();
            }
            let event = self.next_answer("a file");
            self.events.push(event);
        }
    }

    /// Keeps a picture of the whole page for whoever wants to look at it.
    pub(crate) fn picture(&mut self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("portal");
        fs::create_dir_all(&folder).unwrap();
        let shot = self.tell("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the browser has complained of since it was last asked: faults of script, of the security policy, of the network.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // Whatever was said before this answer has come before it.
        self.tell("Runtime.evaluate", json!({ "expression": "0" }));
        let is_complaint = |event: &Value| match event["method"].as_str() {
            Some("Log.entryAdded") => event["params"]["entry"]["level"] != "verbose",
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => true,
            _ => false,
        };
        let told = self.events.iter().filter(|event| is_complaint(event)).map(ToString::to_string).collect();
        self.events.clear();
        told
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
