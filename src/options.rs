//! Options that several commands have.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct DataDirectory {
    /// The data directory; `serve` makes it if it does not exist
    #[arg(
        long,
        env = "WALNUT_DATA",
        default_value = "./walnut-data",
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
}
