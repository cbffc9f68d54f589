//! What the program did, by verdict and reason.

use aya::maps::{MapData, MapError, PerCpuArray};
use credence_credit::Measure;

use crate::abi::Reason;

/// Packets, and their bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// The program's counters.
pub struct Counts(PerCpuArray<MapData, [u64; 2]>);

impl Counts {
    pub(crate) const fn new(map: PerCpuArray<MapData, [u64; 2]>) -> Self {
        Self(map)
    }

    /// How many packets met this measure for this reason since the program was loaded.
    ///
    /// # Errors
    /// When the kernel does not give the counter, which it always should.
    pub fn of(&self, measure: Measure, reason: Reason) -> Result<Count, MapError> {
        let at = measure as u32 * Reason::ALL.len() as u32 + reason as u32;
        let each = self.0.get(&at, 0)?;
        Ok(each.iter().fold(Count::default(), |sum, &[packets, bytes]| Count {
            packets: sum.packets + packets,
            bytes: sum.bytes + bytes,
        }))
    }
}
