//! Reaching a server, and whether the connection stands.

use std::{path::Path, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::{sync::watch, time::Instant};

use crate::{
    error::OpenError,
    options::{Credentials, Options},
};

/// How long one attempt to reach a server may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The longest pause between attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether there is a connection, and which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) connected: bool,
    /// Grows with each connection.
    pub(crate) epoch: u64,
}

/// Connects, trying again while no server answers; what can't get better by
/// waiting fails at once.
pub(crate) async fn connect(options: &Options) -> Result<(Client, watch::Receiver<Standing>), OpenError> {
    let servers = servers(options)?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        let standing = watch::Sender::new(Standing::default());
        let watched = standing.subscribe();
        let failed = match prepare(options, standing).await?.connect(&servers[..]).await {
            Ok(client) => return Ok((client, watched)),
            Err(error) => error,
        };
        let (urls, why) = (options.urls.join(", "), failed.to_string());
        match failed.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                return Err(OpenError::Unauthorized { urls, why });
            }
            ConnectErrorKind::Tls => return Err(OpenError::Tls { urls, why }),
            _ if options.patience.is_some_and(|patience| begun.elapsed() + pause > patience) => {
                return Err(OpenError::Unreachable { urls, why });
            }
            _ => tracing::warn!(%urls, %why, "no NATS server answers; trying again in {pause:?}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE);
    }
}

fn servers(options: &Options) -> Result<Vec<ServerAddr>, OpenError> {
    let parse = |url: &String| {
        url.parse::<ServerAddr>().map_err(|why| OpenError::Unreachable { urls: url.clone(), why: why.to_string() })
    };
    let servers = options.urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    match servers.is_empty() {
        true => Err(OpenError::Unreachable { urls: String::new(), why: "no URL is given".into() }),
        false => Ok(servers),
    }
}

async fn prepare(options: &Options, standing: watch::Sender<Standing>) -> Result<ConnectOptions, OpenError> {
    let connect = ConnectOptions::new()
        .name(format!("handbell {}", options.namespace))
        .connection_timeout(ATTEMPT)
        .ping_interval(Duration::from_secs(10))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            let doubled = Duration::from_millis(25) * 2_u32.saturating_pow(u32::try_from(attempts.min(8)).unwrap_or(8));
            doubled.min(PAUSE)
        })
        .event_callback(move |event| {
            note(&standing, &event);
            std::future::ready(())
        });
    let connect = match &options.credentials {
        Credentials::None => connect,
        Credentials::Token(path) => connect.token(secret(path)?),
        Credentials::Nkey(path) => connect.nkey(secret(path)?),
        Credentials::Jwt(path) => {
            // Without a line's end behind it the last block isn't found.
            let text = secret(path)? + "\n";
            connect.credentials(&text).map_err(|error| unusable(path, &error))?
        }
    };
    Ok(encrypted(connect, options))
}

fn encrypted(mut connect: ConnectOptions, options: &Options) -> ConnectOptions {
    if options.tls.is_wanted() {
        connect = connect.require_tls(true);
    }
    if let Some(ca) = &options.tls.ca {
        connect = connect.add_root_certificates(ca.clone());
    }
    match &options.tls.certificate {
        Some((certificate, key)) => connect.add_client_certificate(certificate.clone(), key.clone()),
        None => connect,
    }
}

fn secret(path: &Path) -> Result<String, OpenError> {
    let text = std::fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
    match text.trim() {
        "" => Err(unusable(path, &"it is empty")),
        secret => Ok(secret.to_owned()),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> OpenError {
    OpenError::File { path: path.display().to_string(), why: why.to_string() }
}

fn note(standing: &watch::Sender<Standing>, event: &Event) {
    match event {
        Event::Connected => standing.send_modify(|standing| {
            standing.connected = true;
            standing.epoch += 1;
        }),
        Event::Disconnected | Event::Closed => {
            standing.send_modify(|standing| standing.connected = false);
            tracing::warn!("the connection to NATS is gone; connecting again");
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => tracing::warn!("NATS: {event}"),
        Event::LameDuckMode | Event::Draining => tracing::info!("NATS: {event}"),
    }
}
