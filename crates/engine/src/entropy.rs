//! Randomness: ids and the two halves of API keys.

use ring::rand::{SecureRandom, SystemRandom};

/// Returns random bytes from the operating system.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system has randomness");
    bytes
}

/// Makes a public key: eight lowercase letters, as Atlas' are.
pub(crate) fn public_key() -> String {
    // 26 does not divide 256; the bias of under 4 % does not matter in a user name.
    bytes::<8>()
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect()
}

/// Makes a private key: a random UUID in its text form, as Atlas' are.
pub(crate) fn private_key() -> String {
    let mut bytes = bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
