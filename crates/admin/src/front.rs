//! `GET /`: a page for people, with the counts of the overview where whoever
//! asks may see them.

use axum::{extract::State, http::HeaderMap, response::Html};

use crate::{
    access::may_look,
    app::Shared,
    overview::{self, Overview},
};

const PAGE: &str = include_str!("page.html");
/// Where the counts go.
const PLACE: &str = "<!-- counts -->";

pub(crate) async fn get(State(app): Shared, headers: HeaderMap) -> Html<String> {
    let counts = match may_look(&app.options.access, &headers).await {
        false => "<p>The counts need a token.</p>".to_owned(),
        true => overview::look(&app).await.map_or_else(
            |_| "<p>The log can't be read now; see <a href=\"/readyz\">/readyz</a>.</p>".to_owned(),
            |seen| table(&seen),
        ),
    };
    Html(PAGE.replacen(PLACE, &counts, 1))
}

fn table(seen: &Overview) -> String {
    let row = |(name, value): (&str, String)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(&value));
    let rows: String = seen.rows().map(row).concat();
    format!("<table>\n{rows}</table>")
}

/// As text of HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_text() {
        assert_eq!(escaped("<b>&\"x"), "&lt;b&gt;&amp;&quot;x");
        assert!(PAGE.contains(PLACE));
    }
}
