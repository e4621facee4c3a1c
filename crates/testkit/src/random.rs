//! Numbers that look random and are the same in every run. It must never be used for secrets.

/// The `SplitMix64` generator: small, fast, and any seed is a good one.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`, which is at least one.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        // The high half of 32 bits times the limit is below the limit.
        let scaled = (self.bits() >> 32) * u64::from(limit);
        u32::try_from(scaled >> 32).expect("the product of two 32-bit numbers, shifted by 32 bits")
    }

    /// Returns a number below `limit`, as BSON's 32-bit integer.
    pub(crate) fn int(&mut self, limit: i32) -> i32 {
        let limit = u32::try_from(limit).expect("limits are positive");
        i32::try_from(self.below(limit)).expect("it is below an i32")
    }

    /// Returns a number from 0 to 1, without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.below(1 << 31)) / f64::from(1u32 << 31)
    }

    /// Returns one of the choices.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let count = u32::try_from(choices.len()).expect("lists of choices are short");
        choices[self.below(count) as usize]
    }

    /// Returns `count` words joined by spaces.
    pub(crate) fn words(&mut self, count: u32) -> String {
        let mut text = String::new();
        for index in 0..count {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(self.pick(&WORDS));
        }
        text
    }

    /// Returns `length` hexadecimal digits.
    pub(crate) fn token(&mut self, length: usize) -> String {
        let mut token = String::new();
        while token.len() < length {
            token.push_str(&format!("{:016x}", self.bits()));
        }
        token.truncate(length);
        token
    }
}

/// Enough words that a text compresses about as well as real ones do.
const WORDS: [&str; 96] = [
    "amber", "anchor", "apple", "autumn", "basket", "beacon", "birch", "border", "bridge",
    "bronze", "butter", "canal", "candle", "canvas", "carbon", "castle", "cedar", "cellar",
    "chalk", "cherry", "circle", "cloud", "clover", "cobalt", "copper", "corner", "cotton",
    "crystal", "dawn", "delta", "desert", "dune", "eagle", "ember", "engine", "fabric", "falcon",
    "feather", "fern", "field", "flint", "forest", "fossil", "garden", "garnet", "glacier",
    "granite", "gravel", "grove", "hammer", "harbor", "hazel", "heron", "hollow", "honey",
    "island", "ivory", "jasper", "juniper", "kettle", "ladder", "lagoon", "lantern", "larch",
    "lemon", "linen", "lumber", "maple", "marble", "meadow", "mirror", "morning", "moss", "needle",
    "nickel", "north", "oak", "ocean", "olive", "orchard", "otter", "paper", "pebble", "pepper",
    "pine", "plaster", "quarry", "quartz", "raven", "river", "saddle", "saffron", "silver",
    "spruce", "thunder", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_the_limit() {
        let (mut first, mut second) = (Random::new(7), Random::new(7));
        for _ in 0..1_000 {
            let number = first.below(10);
            assert_eq!(number, second.below(10));
            assert!(number < 10);
        }
        assert_ne!(first.bits(), Random::new(8).bits());
    }
}
