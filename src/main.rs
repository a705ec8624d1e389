//! The thin binary: everything is in the library's `cli` room.

use std::process::ExitCode;

fn main() -> ExitCode {
    pool_tune::cli::main()
}
