//! What declarations can't say: topics that are Handbell's own, filters that
//! are none, subscriptions that would make one group in two ways.

use std::collections::BTreeMap;

use handbell_protocol::filter::Filter;

use super::{
    node::{Node, Step, key_text, steps},
    problem::Problem,
    section::{Config, Subscription},
};

/// All that is wrong with declared topics and subscriptions.
pub(super) fn check_declared(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut problems = topics(config, tree);
    problems.extend(subscriptions(config).filter_map(|(path, declared)| filter(tree, path, declared)));
    problems.extend(groups(config, tree));
    problems
}

fn topics(config: &Config, tree: &Node) -> Vec<Problem> {
    let reserved = config.topics.keys().filter(|topic| topic.is_reserved());
    let refuse = |topic: &handbell_protocol::Topic| {
        let path = ["topics", topic.as_str()].map(|key| Step::Key(key.into()));
        let how = "choose a name that doesn't begin with handbell.";
        Problem::on(tree, &path, format!("the topic {topic} is Handbell's own: nobody may publish on it"), how)
    };
    reserved.map(refuse).collect()
}

fn filter(tree: &Node, mut path: Vec<Step>, declared: &Subscription) -> Option<Problem> {
    let bad = Filter::compile(declared.filter.as_deref()?).err()?;
    path.push(Step::Key("filter".into()));
    let how = "write key=value[,key=value…], or CEL like payload.n >= 3";
    Some(Problem::on(tree, &path, format!("the filter is none: {bad}"), how))
}

/// A group has one topic, one filter and one order, whoever declares it.
fn groups(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut first: BTreeMap<&str, (Vec<Step>, &Subscription)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, declared) in subscriptions(config) {
        let Some(group) = &declared.group else { continue };
        let Some((other_path, other)) = first.get(group.as_str()) else {
            first.insert(group.as_str(), (path, declared));
            continue;
        };
        let same = [
            ("topic", other.topic == declared.topic),
            ("filter", other.filter == declared.filter),
            ("order", other.order.unwrap_or_default() == declared.order.unwrap_or_default()),
        ];
        for (key, _) in same.iter().filter(|(_, same)| !same) {
            let what = format!("the group {group} has another {key} at {}", key_text(other_path));
            problems.push(Problem::on(tree, &path, what, "write the same at both, or name another group"));
        }
    }
    problems
}

fn subscriptions(config: &Config) -> impl Iterator<Item = (Vec<Step>, &Subscription)> {
    config.agents.each.iter().flat_map(|(agent, declared)| {
        declared.subscriptions.iter().enumerate().map(move |(index, subscription)| {
            let mut path = steps("agents");
            path.extend([Step::Key(agent.to_string()), Step::Key("subscriptions".into()), Step::Index(index)]);
            (path, subscription)
        })
    })
}
