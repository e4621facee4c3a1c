//! Access lists: from where a key may call, and from where a project's downloads may be fetched.
//!
//! Addresses are texts here; what they mean is for the domain to say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::Body;
use crate::date::Date;
use crate::error::{ApiError, Code};
use crate::id::Id;
use crate::link::Link;

/// An entry of an API key's access list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// The block of addresses; a single address is a block of one.
    pub cidr_block: String,
    /// How many requests came from the block, where that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When the entry was made.
    pub created: Date,
    /// The single address, when the entry is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// When the last request came from the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Date>,
    /// Where the last request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_address: Option<String>,
    /// The entry itself.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// An entry of a project's access list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectEntry {
    /// The block of addresses; a single address is a block of one.
    pub cidr_block: String,
    /// What the entry is for.
    pub comment: String,
    /// When the entry ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_date: Option<Date>,
    /// Names the project.
    pub group_id: Id,
    /// The single address, when the entry is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The entry itself.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// Most characters of a comment.
pub const COMMENT_LENGTH_MAX: usize = 80;

/// One item of the body of a request for new entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccessListRequestEntry)]
pub struct CreateEntry {
    /// A block of addresses; this or `ipAddress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_block: Option<String>,
    /// What the entry is for; projects only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When the entry ends by itself; projects only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after_date: Option<Date>,
    /// A single address; this or `cidrBlock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

impl CreateEntry {
    /// Reads the array of new entries of a key's list.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault; `BAD_ACCESS_LIST_ADD_REQUEST` when an entry names
    /// no address or two, or when there is no entry.
    pub fn parse_for_key(bytes: &[u8]) -> Result<Vec<Self>, ApiError> {
        let known = [
            "cidrBlock",
            "count",
            "created",
            "ipAddress",
            "lastUsed",
            "lastUsedAddress",
            "links",
        ];
        Self::parse(bytes, &known)
    }

    /// Reads the array of new entries of a project's list.
    ///
    /// # Errors
    /// As [`CreateEntry::parse_for_key`]; `VALIDATION_ERROR` when a comment is too long.
    pub fn parse_for_project(bytes: &[u8]) -> Result<Vec<Self>, ApiError> {
        let known = [
            "cidrBlock",
            "comment",
            "deleteAfterDate",
            "groupId",
            "ipAddress",
            "links",
        ];
        Self::parse(bytes, &known)
    }

    fn parse(bytes: &[u8], known: &[&str]) -> Result<Vec<Self>, ApiError> {
        let bad = || ApiError::plain(Code::BadAccessListAddRequest);
        let bodies = Body::parse_array(bytes, known)?;
        if bodies.is_empty() {
            return Err(bad());
        }
        let mut entries = Vec::with_capacity(bodies.len());
        for mut body in bodies {
            let entry = Self {
                cidr_block: body.filled_text("cidrBlock")?,
                comment: body.filled_text("comment")?,
                delete_after_date: body.date("deleteAfterDate")?,
                ip_address: body.filled_text("ipAddress")?,
            };
            if entry.cidr_block.is_some() == entry.ip_address.is_some() {
                return Err(bad());
            }
            if entry
                .comment
                .as_ref()
                .is_some_and(|text| text.chars().count() > COMMENT_LENGTH_MAX)
            {
                let detail = format!("comment may have {COMMENT_LENGTH_MAX} characters at most.");
                return Err(ApiError::new(Code::ValidationError, ["comment"]).with_detail(detail));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Returns the address or block as it was sent.
    pub fn address(&self) -> &str {
        self.cidr_block
            .as_deref()
            .or(self.ip_address.as_deref())
            .unwrap_or_default()
    }
}
