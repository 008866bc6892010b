//! `version`: this program's, the running one's, and whether they differ.

use serde_json::json;

use crate::{
    api::Api,
    cli::{Format, VersionArgs},
    config::Config,
    failure::{Done, Exit, Failure},
    output::Screen,
    reach::{Side, place},
};

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn run(args: &VersionArgs, config: &Config, screen: Screen) -> Done {
    let asked = if args.client { Ok(None) } else { server(args, config).await };
    let (server, fault) = match asked {
        Ok(server) => (server, None),
        Err(fault) => (None, Some(fault)),
    };
    print(args, server, fault.is_some(), screen)?;
    fault.map_or(Ok(()), Err)
}

/// This program's version in any case.
fn print(args: &VersionArgs, server: Option<String>, is_fault: bool, screen: Screen) -> Done {
    let skew = server.as_ref().map(|server| server != VERSION);
    let versions = json!({ "client": VERSION, "server": server, "skew": skew });
    match screen.format {
        Format::Json => return screen.json_line(&versions),
        Format::Yaml => return screen.value(&versions),
        Format::Name => return screen.line(VERSION),
        Format::Table | Format::Wide => screen.line(&format!("client  {VERSION}"))?,
    }
    match (args.client || is_fault, server) {
        (true, _) => Ok(()),
        (false, None) => screen.line("server  none answers"),
        (false, Some(server)) if server == VERSION => screen.line(&format!("server  {server}")),
        (false, Some(server)) => screen.line(&format!("server  {server} (another version than this program's)")),
    }
}

/// The running one's version; nobody there is no failure here.
async fn server(args: &VersionArgs, config: &Config) -> Result<Option<String>, Failure> {
    let api = Api::new(place(&args.reach, config, Side::Admin)?)?;
    match api.get("/overview", &[]).await {
        Ok(overview) => Ok(overview["version"].as_str().map(ToOwned::to_owned)),
        Err(failure) if failure.exit == Exit::Unreachable => Ok(None),
        Err(failure) => Err(failure),
    }
}
