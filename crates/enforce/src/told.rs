//! What the engine thinks of sources' behaviour, as the kernel's program reads it.

use std::sync::Arc;
use std::time::Duration;

use aya::maps::{HashMap, MapData, MapError};
use credence_credit::Measure;

use crate::abi::number;
use crate::boot_ns;
use crate::control::Control;

/// A source, and what should happen to its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The source's address.
    pub source: u128,
    /// What should happen.
    pub measure: Measure,
}

/// Words of the structure `opinion`.
const WORDS: usize = 4;
const EXPIRES: usize = 0;
const VERDICT: usize = 1;

/// The opinions in force. The program keeps the 65,536 that were heard or asked for last.
pub struct Told {
    control: Arc<Control>,
    map: HashMap<MapData, [u64; 2], [u64; WORDS]>,
    lasts: Duration,
}

impl Told {
    pub(crate) const fn new(
        control: Arc<Control>,
        map: HashMap<MapData, [u64; 2], [u64; WORDS]>,
        lasts: Duration,
    ) -> Self {
        Self { control, map, lasts }
    }

    /// Puts an opinion in force, for as long as opinions last, and keeps the state of the limiter that the source may have.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn tell(&mut self, opinion: Opinion) -> Result<(), MapError> {
        let key = [(opinion.source >> 64) as u64, opinion.source as u64];
        let mut value = match self.map.get(&key, 0) {
            Ok(value) => value,
            Err(MapError::KeyNotFound) => [0; WORDS],
            Err(error) => return Err(error),
        };
        let lasts_ns = u64::try_from(self.lasts.as_nanos()).unwrap_or(u64::MAX);
        value[EXPIRES] = boot_ns().saturating_add(lasts_ns);
        value[VERDICT] = number(opinion.measure);
        self.map.insert(key, value, 0)?;
        self.control.tell();
        Ok(())
    }
}
