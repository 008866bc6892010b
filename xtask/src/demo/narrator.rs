//! What the agents' lines mean, told once each.

/// Words in an agent's line, and what happened when it says them.
const MEANINGS: &[(&str, &str)] = &[
    ("/api-designer: designing", "its sidecar handed it the story, as a member of the durable group `designers`"),
    (
        "/api-designer: design stored",
        "its design was stored first, then the story was settled: run twice, it would still be stored once",
    ),
    (
        "/frontend: ask",
        "the design reached the other language over the other sidecar; now it asks the designer directly",
    ),
    ("/api-designer: /", "a request finds the agent wherever it is attached"),
    ("/frontend: reply", "the answer came back over both sidecars"),
    ("/frontend: build stored", "its output, again stored before what caused it was settled"),
];

/// Remembers what was told.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    told: Vec<&'static str>,
}

impl Narrator {
    /// Repeats a line, with what it means below it.
    pub(super) fn tell(&mut self, line: &str) {
        println!("    {line}");
        if let Some(meaning) = self.explain(line) {
            println!("        {meaning}");
        }
    }

    /// What a line means, the first time that such a line comes.
    fn explain(&mut self, line: &str) -> Option<&'static str> {
        let (words, meaning) = MEANINGS.iter().find(|(words, _)| line.starts_with(words))?;
        if self.told.contains(words) {
            return None;
        }
        self.told.push(words);
        Some(meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_explained_the_first_time_only() {
        let mut narrator = Narrator::default();
        assert!(narrator.explain("/frontend: asks /api-designer about it").is_some());
        assert!(narrator.explain("/frontend: asks /api-designer about it").is_none());
        assert!(narrator.explain("/api-designer: /frontend asks: why?").is_some());
        assert!(narrator.explain("/frontend: bye").is_none());
    }
}
