//! Access lists: the addresses a key, or a project's downloads, may be used from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Error;
use crate::time::Timestamp;

/// Addresses sharing a prefix; a single address has the longest prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Makes the block of one address.
    pub fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            network: address,
            prefix_bits: address_bits(address),
        }
    }

    /// Returns whether it covers `address`; an IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address_bits(address) == address_bits(self.network)
            && mask(address, self.prefix_bits) == self.network
    }

    /// Returns the address when the block is a single one.
    pub fn as_single(&self) -> Option<IpAddr> {
        (self.prefix_bits == address_bits(self.network)).then_some(self.network)
    }
}

fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX
                .checked_shl(32 - u32::from(prefix_bits))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & keep))
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX
                .checked_shl(128 - u32::from(prefix_bits))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & keep))
        }
    }
}

/// Writes `network/prefix`, the prefix also for a single address, as Atlas does.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

/// Reads an address or a block; bits behind the prefix are cleared.
impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidAddress(text.to_owned());
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().map(Cidr::single).map_err(|_| invalid());
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let digits_only = !prefix.is_empty() && prefix.bytes().all(|c| c.is_ascii_digit());
        let prefix_bits: u8 = prefix.parse().map_err(|_| invalid())?;
        if !digits_only || prefix_bits > address_bits(address) {
            return Err(invalid());
        }
        Ok(Self {
            network: mask(address, prefix_bits),
            prefix_bits,
        })
    }
}

/// One line of an access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// The addresses.
    pub block: Cidr,
    /// Its owner's words; projects' lists only.
    pub comment: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it stops counting; projects' lists only.
    pub delete_after: Option<Timestamp>,
}

impl AccessEntry {
    /// Returns whether the entry lets `address` in at `now`.
    pub fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        self.delete_after.is_none_or(|end| now < end) && self.block.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(block: &str, address: &str, expected: bool) {
        let block: Cidr = block.parse().expect("a block");
        assert_eq!(
            block.contains(address.parse().expect("an address")),
            expected,
            "{block} {address}"
        );
    }

    #[test]
    fn blocks_cover_what_shares_their_prefix() {
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.4", false);
        check("10.1.2.3/8", "10.200.0.1", true);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db9::1", true);
        check("127.0.0.1", "::ffff:127.0.0.1", true);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "10.1.2",
            "10.1.2.3/33",
            "10.1.2.3/",
            "10.1.2.3/+8",
            "::1/129",
            "host",
            "/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_single_address_is_shown_with_its_prefix() {
        let block: Cidr = "10.1.2.3".parse().expect("a block");
        assert_eq!(block.to_string(), "10.1.2.3/32");
        assert_eq!(
            "10.1.2.3/8".parse::<Cidr>().expect("a block").to_string(),
            "10.0.0.0/8"
        );
    }
}
