//! What can be typed after `regrow key` and `regrow project`.

use clap::{Args, Subcommand};

use super::Yes;

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyCommand {
    #[command(subcommand)]
    pub(in crate::cli) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyAction {
    /// List the API keys with a role in the project.
    List {
        /// All keys of the project's organization instead.
        #[arg(long)]
        organization: bool,
    },
    /// Make an API key and print it once; its private half cannot be shown again.
    Create(CreateKey),
    /// Delete an API key: it stops working at once.
    Delete {
        /// Id or public half of the key.
        key: String,
        /// Only take its roles in the project away.
        #[arg(long)]
        from_project: bool,
        #[command(flatten)]
        yes: Yes,
    },
    /// The addresses that a key may be used from; anywhere while the list is empty.
    #[command(subcommand)]
    Access(KeyAccess),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateKey {
    /// What the key is for.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) description: String,

    /// A role, such as `GROUP_OWNER` (everything in the project) or `GROUP_READ_ONLY`; repeat
    /// it for more. With --organization `ORG_OWNER`, `ORG_READ_ONLY` and the like.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub(in crate::cli) roles: Vec<String>,

    /// Give the roles in the project's organization instead of in the project.
    #[arg(long)]
    pub(in crate::cli) organization: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyAccess {
    /// List the addresses.
    List {
        /// Id or public half of the key.
        key: String,
    },
    /// Add addresses; from then on the key works from listed addresses only.
    Add {
        /// Id or public half of the key.
        key: String,
        /// Addresses, or blocks such as 192.0.2.0/24.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Take an address off the list.
    Remove {
        /// Id or public half of the key.
        key: String,
        /// The address or block, as the list shows it.
        address: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ProjectCommand {
    #[command(subcommand)]
    pub(in crate::cli) action: ProjectAction,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProjectAction {
    /// List the projects that the key can see.
    List,
    /// Make a project.
    Create {
        /// Name of the project.
        name: String,
        /// Id of its organization, where the key sees more than one.
        #[arg(long, value_name = "ID")]
        organization: Option<api::Id>,
    },
    /// Delete a project; it must not have clusters any more.
    Delete {
        /// Id or name of the project.
        name: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// The addresses that downloads may be fetched from; anywhere while the list is empty.
    #[command(subcommand)]
    Access(ProjectAccess),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProjectAccess {
    /// List the addresses.
    List,
    /// Add addresses.
    Add {
        /// Addresses, or blocks such as 192.0.2.0/24.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// What they are for.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// When they end by themselves, such as 2030-01-31T12:00:00Z.
        #[arg(long, value_name = "DATE")]
        delete_after: Option<api::Date>,
    },
    /// Take an address off the list.
    Remove {
        /// The address or block, as the list shows it.
        address: String,
    },
}
