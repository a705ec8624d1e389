//! How the program asks others over HTTP: one kind of client, and words for what went wrong.

use reqwest::{ClientBuilder, redirect::Policy};

/// A client that says who it is and follows nobody elsewhere; whoever builds it says how long an answer may take.
pub fn client() -> ClientBuilder {
    // Whoever comes second finds it done.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(Policy::none()).user_agent(concat!("pool-tune/", env!("CARGO_PKG_VERSION")))
}

/// What went wrong, down to its cause: reqwest's own words stop above it.
#[must_use]
pub fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(of) = cause {
        let of_it = of.to_string();
        if !text.contains(&of_it) {
            text.push_str(": ");
            text.push_str(&of_it);
        }
        cause = of.source();
    }
    text
}
