//! Tests of single bits: `$bitsAllSet` and its kin.

use super::error::FilterError;
use crate::number::Number;
use crate::raw::Malformed;
use crate::value::{Value, kind};

/// The largest position that may be asked for.
const POSITION_MAX: i64 = i32::MAX as i64;

/// Which bits must be what.
#[derive(Clone, Debug)]
pub(super) struct BitTest {
    pub(super) positions: Vec<u32>,
    pub(super) all: bool,
    pub(super) set: bool,
}

impl BitTest {
    /// Reads a mask: a whole number, a binary, or a list of positions.
    pub(super) fn parse(name: &str, mask: Value<'_>) -> Result<BitTest, FilterError> {
        let fault = |fault: &str| FilterError::argument(name, fault);
        let positions = match mask.kind {
            kind::ARRAY => {
                let mut positions = Vec::new();
                for field in mask.fields()? {
                    let whole = field?.1.number()?.and_then(Number::whole);
                    let position = whole
                        .filter(|position| (0..=POSITION_MAX).contains(position))
                        .and_then(|position| u32::try_from(position).ok())
                        .ok_or_else(|| fault("takes positions of bits that are not negative"))?;
                    positions.push(position);
                }
                positions
            }
            kind::BINARY => ones(mask.binary()?),
            _ => {
                let whole = mask.number()?.and_then(Number::whole);
                let mask = whole.filter(|mask| *mask >= 0).ok_or_else(|| {
                    fault("takes a whole number, a binary or a list of positions")
                })?;
                ones(&mask.to_le_bytes())
            }
        };
        Ok(BitTest {
            positions,
            all: name.starts_with("$bitsAll"),
            set: name.ends_with("Set"),
        })
    }

    pub(super) fn matches(&self, value: Value<'_>) -> Result<bool, Malformed> {
        if value.kind == kind::BINARY {
            let bytes = value.binary()?;
            return Ok(self.decide(|position| {
                bytes
                    .get(position as usize / 8)
                    .is_some_and(|byte| byte >> (position % 8) & 1 == 1)
            }));
        }
        // What is no whole number of 64 bits has none. (6.0.5 rounds decimals, 6.0.27 does not.)
        let number = value.number()?.and_then(Number::whole);
        // The sign goes on to the left without end.
        Ok(
            number
                .is_some_and(|number| self.decide(|position| number >> position.min(63) & 1 == 1)),
        )
    }

    fn decide(&self, is_set: impl Fn(u32) -> bool) -> bool {
        let holds = |position: &u32| is_set(*position) == self.set;
        if self.all {
            self.positions.iter().all(holds)
        } else {
            self.positions.iter().any(holds)
        }
    }
}

/// Returns the positions of the bits that are set, from the first byte's lowest on.
fn ones(bytes: &[u8]) -> Vec<u32> {
    (0u32..)
        .zip(bytes)
        .flat_map(|(place, byte)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| place * 8 + bit)
        })
        .collect()
}
