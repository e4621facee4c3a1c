//! Rebuilds the crate when a migration is added: `sqlx::migrate!` notices edits only.

#[expect(
    clippy::disallowed_macros,
    reason = "a build script talks to cargo on standard output"
)]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
