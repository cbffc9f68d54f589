//! What goes wrong, and that nothing does any more.

use crate::Sabotage;
use crate::checks::{self, Checked};
use crate::mirror::Mood;
use crate::world::{Event, GATEWAYS, HOUR, MINUTE, MIRRORS, SECOND, Simulation, Stops};

impl Simulation {
    pub(crate) fn platform_fault(&mut self) {
        self.after(3 * HOUR, Event::PlatformFault);
        let (kind, down_ms) = (self.dice.below(6), self.dice.within(2 * SECOND, 20 * MINUTE));
        match kind {
            0 => self.stops_at.handing_in = true,
            1 => self.stops_at.publishing = true,
            2 => {
                let file = self.dice.below(1_000) as usize;
                self.platform.rot(file);
                self.platform.stop();
                self.note("platform_rot", format_args!(""));
            }
            3 => self.lose_power(),
            _ => {
                self.platform.stop();
                self.note("platform_killed", format_args!(""));
            }
        }
        self.at(self.now_ms + down_ms, Event::PlatformStart);
    }

    /// The platform's machine has no power any more.
    pub(crate) fn lose_power(&mut self) {
        self.platform.lose_power(&mut self.dice);
        self.note("platform_lost_power", format_args!(""));
    }

    pub(crate) fn platform_start(&mut self) -> Checked {
        if !self.platform.is_running() {
            let is_unshown = self.platform.start();
            self.note("platform_started", format_args!("{is_unshown}"));
            self.publish_soon();
            if is_unshown {
                return self.published();
            }
        }
        Ok(())
    }

    pub(crate) fn mood(&mut self, mirror: usize) {
        self.after(40 * MINUTE, Event::Mood(mirror));
        if !self.is_calm {
            self.moods[mirror] = Mood::draw(&mut self.dice, self.now_ms);
            let mood = self.moods[mirror];
            self.note(mood.name(), format_args!("{mirror}"));
        }
    }

    /// A gateway's machine stops, and starts after a while.
    pub(crate) fn stop(&mut self, id: usize, why: &str) {
        self.gateways[id].stop();
        self.note(why, format_args!("{id}"));
        let down = if self.is_calm { 1 } else { self.dice.within(SECOND, 2 * MINUTE) };
        self.at(self.now_ms + down, Event::Start(id));
    }

    pub(crate) fn start(&mut self, id: usize) -> Checked {
        if self.gateways[id].rounds.is_some() {
            return Ok(());
        }
        if let (Some(Sabotage::Rollback), Some(image)) = (self.sabotage, self.images[id].take()) {
            self.gateways[id].drive.set_back(image);
        }
        self.images[id] = Some(self.gateways[id].drive.image());
        let looked = self.gateways[id].start(self.now_ms);
        self.seen[id].forget();
        self.note("started", format_args!("{id}"));
        checks::monotone(&mut self.gateways[id])?;
        self.looked(id, looked)?;
        if let Some(offer) = self.gateways[id].offered() {
            let life = self.gateways[id].life;
            self.at(self.now_ms + 10, Event::Look(id, life, offer));
        }
        self.awaits(id);
        Ok(())
    }

    pub(crate) fn gateway_fault(&mut self, id: usize) {
        if self.is_calm {
            return;
        }
        self.after(2 * HOUR, Event::Fault(id));
        if self.gateways[id].rounds.is_none() {
            return;
        }
        let lasts = self.dice.within(MINUTE, HOUR);
        match self.dice.below(8) {
            0 => self.stop(id, "killed"),
            1 => {
                let faults = self.gateways[id].follow(self.now_ms);
                self.note("follower_killed", format_args!("{id} {faults}"));
                self.gateways[id].life += 1;
                if let Some(offer) = self.gateways[id].offered() {
                    let life = self.gateways[id].life;
                    self.at(self.now_ms + 10, Event::Look(id, life, offer));
                }
                self.awaits(id);
            }
            2 => {
                let changes = self.dice.within(1, 8) as u32;
                self.gateways[id].drive.stop_after(changes);
            }
            3 => {
                self.gateways[id].drive.fill(true);
                self.note("disk_full", format_args!("{id}"));
                self.at(self.now_ms + lasts, Event::Emptied(id));
            }
            4 => {
                if let Some(name) = self.gateways[id].drive.rot(&mut self.dice) {
                    self.note("rot", format_args!("{id} {name}"));
                    if !self.gateways[id].drive.has_trusted() {
                        // What stands in the head that is kept is all that is left of it, and of that nothing where it is damaged as
                        // well before it could be written down again.
                        self.gateways[id].floor = (0, 0, 0, 0);
                    }
                    self.stop(id, "killed");
                }
            }
            5 => {
                let server = self.dice.below(MIRRORS as u64 + 1) as usize;
                self.parted[id][server] = true;
                self.note("parted", format_args!("{id} {server}"));
                self.at(self.now_ms + lasts, Event::Joined(id, server));
            }
            6 => {
                self.gateways[id].offset_ms = self.dice.below(1_200_000) as i64 - 600_000;
                self.note("clock_off", format_args!("{id}"));
            }
            _ => {
                let back = self.gateways[id].offset_ms;
                let wild = self.dice.one(&[365, 1, -1, -365]) * 24 * HOUR as i64;
                self.gateways[id].offset_ms = wild;
                self.note("clock_wild", format_args!("{id} {wild}"));
                self.at(self.now_ms + lasts / 4, Event::Clock(id, back));
            }
        }
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn calm(&mut self) -> Checked {
        (self.is_calm, self.stops_at) = (true, Stops::default());
        self.queue.retain(|_, event| {
            !matches!(
                event,
                Event::Deed
                    | Event::Plot
                    | Event::Case(_)
                    | Event::Vote(_)
                    | Event::Arrive(_)
                    | Event::PlatformFault
                    | Event::Fault(_)
                    | Event::Clock(..)
                    | Event::Operator(..)
            )
        });
        self.moods = vec![Mood::Behind(0); MIRRORS];
        self.parted = vec![[false; MIRRORS + 1]; GATEWAYS];
        self.platform_start()?;
        self.settle()?;
        self.cosign();
        for id in 0..GATEWAYS {
            self.gateways[id].drive.fill(false);
            self.gateways[id].drive.start();
            self.gateways[id].offset_ms = self.dice.below(2_000) as i64 - 1_000;
            let life = self.gateways[id].life;
            self.at(self.now_ms, Event::Operator(id, life));
        }
        self.note("calm", format_args!(""));
        Ok(())
    }
}
