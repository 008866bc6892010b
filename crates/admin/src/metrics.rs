//! `/metrics`: Prometheus' text form. Labels have few values: no topic, no
//! agent, no group.

use std::fmt::{Display, Write as _};

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use handbell_backend::Class;

use crate::{
    agents,
    app::{App, Shared},
    health,
    problem::Problem,
};

pub(crate) async fn get(State(app): Shared) -> Result<impl IntoResponse, Problem> {
    let text = render(&app).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

async fn render(app: &App) -> Result<String, Problem> {
    let mut text = Text::default();
    text.gauge("handbell_build_info", "The build, always 1.");
    text.sample("handbell_build_info", &[("version", app.options.version)], 1);
    sidecars(app, &mut text);
    stored(app, &mut text).await?;
    let agents = agents::all(&app.options.member.view());
    text.gauge("handbell_agents", "Agent names that are attached now, over all members.");
    text.sample("handbell_agents", &[], agents.len());
    text.gauge("handbell_sessions", "Sessions of agents, over all members.");
    text.sample("handbell_sessions", &[], agents.iter().map(agents::AgentView::sessions).sum::<u32>());
    Ok(text.0)
}

fn sidecars(app: &App, text: &mut Text) {
    text.gauge("handbell_sidecar_ready", "Whether the sidecar takes new sessions.");
    for sidecar in health::sidecars(app) {
        text.sample("handbell_sidecar_ready", &[("sidecar", &sidecar.sidecar.to_string())], u8::from(sidecar.ready));
    }
}

async fn stored(app: &App, text: &mut Text) -> Result<(), Problem> {
    let mut sums = Vec::new();
    for class in [Class::Ev, Class::Inbox, Class::Retry, Class::Dlq] {
        let topics = app.options.backend.topics(class).await?;
        let sum = |part: fn(&handbell_backend::TopicInfo) -> u64| topics.iter().map(part).sum::<u64>();
        sums.push((class.as_str(), sum(|topic| topic.records), sum(|topic| topic.bytes)));
    }
    text.gauge("handbell_stored_events", "Events that are kept.");
    sums.iter().for_each(|(class, events, _)| text.sample("handbell_stored_events", &[("class", class)], events));
    text.gauge("handbell_stored_bytes", "Their bytes.");
    sums.iter().for_each(|(class, _, bytes)| text.sample("handbell_stored_bytes", &[("class", class)], bytes));
    Ok(())
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}
