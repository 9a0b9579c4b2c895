//! A first program: puts a value into a keyspace with the machine `map`, and reads it back.
//!
//! ```text
//!   MARGAY_ENDPOINTS=127.0.0.1:7400,127.0.0.1:7401 cargo run -p margay-client --example first -- first
//! ```
//!
//! The argument is the keyspace. README.md tells how to start a cluster, and how to create one.

use margay_client::Options;
use margay_client::tokio::Client;
use margay_client::tokio::typed::Session;
use margay_resources::map::{Get, Map, Put};
use margay_wire::client::QueryLevel;
use std::error::Error;
use std::time::Duration;

/// How long each call waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a program for people")]
async fn main() -> Result<(), Box<dyn Error>> {
    let keyspace = std::env::args().nth(1).ok_or("which keyspace?")?;
    let endpoints: Vec<String> = std::env::var("MARGAY_ENDPOINTS")
        .unwrap_or_else(|_| "127.0.0.1:7400".to_owned())
        .split(',')
        .map(|endpoint| endpoint.trim().to_owned())
        .collect();

    // One client per program; it finds the leaders by itself, from any of the addresses.
    let client = Client::connect(&endpoints, Options::default(), TIMEOUT).await?;
    // In a session commands are applied in order, each exactly once, whatever fails meanwhile.
    let session = Session::<Map>::open(&client, &keyspace).await?;

    // `call` submits; what it gives is awaited when the output is needed. Both of these are under way at once.
    let first = session.call(&Put {
        key: b"greeting",
        value: b"hello",
    });
    let second = session.call(&Put {
        key: b"greeting",
        value: b"hello again",
    });
    // An error within an output is the machine's own answer: here, that the map is full.
    match (first.await?, second.await?) {
        (Ok(first), Ok(second)) => {
            println!("version {}, then version {}", first.version, second.version);
        }
        (Err(full), _) | (_, Err(full)) => println!("no room: {full:?}"),
    }

    // The answer owns the bytes, and lends the value.
    let query = Get { key: b"greeting" };
    let answered = session.ask(&query, QueryLevel::Linearizable).await?;
    if let Some(found) = answered.value()? {
        let text = String::from_utf8_lossy(found.value);
        println!("greeting is {text:?}, of version {}", found.version);
    }

    // Without this the session would be closed by the last handle, or by its timeout.
    session.close().await?;
    client.close().await?;
    Ok(())
}
