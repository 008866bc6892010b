//! The view: which members are there, pure. Time is an argument.
//!
//! A member is there from its first heartbeat until it says that it leaves, or
//! until nothing was heard of it for a lease, counted from when it was heard.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::Partition;
use handbell_protocol::{AgentName, Segment, Topic};

use super::{Agents, MemberId, Presence, beat::Beat};

/// How much longer a heartbeat is waited with for each agent that it names.
const EACH: Duration = Duration::from_micros(100);

/// Who is there, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    members: BTreeMap<MemberId, MemberInfo>,
    pools: HashSet<Segment>,
    capabilities: HashSet<Segment>,
}

/// A member that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Who is attached to it.
    pub agents: Arc<Agents>,
    /// The groups that it has consumers of.
    pub groups: BTreeSet<Segment>,
    /// The shared topics that it would forward.
    pub forwards: BTreeSet<Topic>,
    /// It takes no new work.
    pub draining: bool,
}

/// What has been heard, and when.
#[derive(Debug)]
pub(crate) struct Roster {
    own: Beat,
    others: BTreeMap<MemberId, Heard>,
    lease: Duration,
}

#[derive(Debug)]
struct Heard {
    beat: Beat,
    at: Instant,
}

// === impl View ===

impl View {
    /// The members that are there.
    pub fn members(&self) -> impl Iterator<Item = (&MemberId, &MemberInfo)> {
        self.members.iter()
    }

    /// What is known of a member, if it is there.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&MemberInfo> {
        self.members.get(id)
    }

    /// The agents that are attached, each with its member; an agent with
    /// sessions on several members comes once for each.
    pub fn agents(&self) -> impl Iterator<Item = (&MemberId, &Presence)> {
        self.members.iter().flat_map(|(id, member)| member.agents.iter().map(move |presence| (id, presence)))
    }

    /// Whether an agent is attached anywhere.
    #[must_use]
    pub fn agent_present(&self, agent: &AgentName) -> bool {
        self.members.values().any(|member| member.agents.contains(agent))
    }

    /// Whether an agent of that pool is attached anywhere.
    #[must_use]
    pub fn pool_present(&self, pool: &Segment) -> bool {
        self.pools.contains(pool)
    }

    /// Whether an agent that can do that is attached anywhere.
    #[must_use]
    pub fn capability_present(&self, capability: &Segment) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether a member is there and has that agent.
    #[must_use]
    pub fn has_agent(&self, member: &MemberId, agent: &AgentName) -> bool {
        self.member(member).is_some_and(|info| info.agents.contains(agent))
    }

    /// The members that share a group's work.
    pub fn sharing<'a, 'g>(&'a self, group: &'g Segment) -> impl Iterator<Item = &'a MemberId> + use<'a, 'g> {
        self.members
            .iter()
            .filter(move |(_, member)| !member.draining && member.groups.contains(group))
            .map(|(id, _)| id)
    }

    /// The member to which a partition of a group belongs: the highest hash of
    /// (group, partition, member), so that one that comes or goes moves only
    /// its own share.
    #[must_use]
    pub fn owner(&self, group: &Segment, partition: Partition) -> Option<&MemberId> {
        self.sharing(group).max_by_key(|member| weight(group.as_str(), partition, member))
    }

    /// A view of one member.
    #[cfg(test)]
    pub(crate) fn with_member(id: &str, agents: Vec<Arc<Presence>>) -> Self {
        let (groups, forwards) = (BTreeSet::new(), BTreeSet::new());
        let info = MemberInfo { agents: Arc::new(agents.into()), groups, forwards, draining: false };
        Self::of(BTreeMap::from([(id.into(), info)]))
    }

    /// The member that forwards a shared topic.
    #[must_use]
    pub fn forwarder(&self, topic: &Topic) -> Option<&MemberId> {
        let able = self.members.iter().filter(|(_, member)| !member.draining && member.forwards.contains(topic));
        able.map(|(id, _)| id).max_by_key(|member| weight(topic.as_str(), Partition(0), member))
    }

    fn of(members: BTreeMap<MemberId, MemberInfo>) -> Self {
        let mut view = Self { members, ..Self::default() };
        for presence in view.members.values().flat_map(|member| member.agents.iter()) {
            view.pools.extend(presence.pools.iter().cloned());
            view.capabilities.extend(presence.capabilities.iter().cloned());
        }
        view
    }
}

fn weight(what: &str, partition: Partition, member: &MemberId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what.as_bytes()).update(b"/").update(&partition.0.to_le_bytes());
    *hasher.update(member.as_str().as_bytes()).finalize().as_bytes()
}

// === impl Roster ===

impl Roster {
    pub(crate) fn new(own: MemberId, lease: Duration) -> Self {
        let own = Beat {
            member: own,
            n: 0,
            agents: Arc::default(),
            groups: BTreeSet::new(),
            forwards: BTreeSet::new(),
            draining: false,
            leaving: false,
        };
        Self { own, others: BTreeMap::new(), lease }
    }

    /// Changes what this member says of itself; tells whether it differs.
    pub(crate) fn change_own(&mut self, change: impl FnOnce(&mut Beat)) -> bool {
        let before = self.own.clone();
        change(&mut self.own);
        self.own != before
    }

    /// The next heartbeat.
    pub(crate) fn beat(&mut self) -> Beat {
        self.own.n += 1;
        self.own.clone()
    }

    /// How long to wait after a heartbeat before another one tells of changes:
    /// the more agents it names, the longer, so that a crowd that comes at
    /// once is told in few of them.
    pub(crate) fn quiet(&self) -> Duration {
        (EACH * self.own.agents.len()).min(self.lease / 8)
    }

    /// Takes a heartbeat in; tells whether the view differs.
    pub(crate) fn hear(&mut self, beat: Beat, now: Instant) -> bool {
        if beat.member == self.own.member {
            return false;
        }
        match self.others.get_mut(&beat.member) {
            Some(heard) if beat.n <= heard.beat.n => false,
            Some(heard) => {
                let same = heard.beat.same_content(&beat);
                *heard = Heard { beat, at: now };
                !same
            }
            None => {
                let there = !beat.leaving;
                self.others.insert(beat.member.clone(), Heard { beat, at: now });
                there
            }
        }
    }

    /// Ends the leases that have run out; tells whether the view differs.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let mut changed = false;
        self.others.retain(|_, heard| {
            let there = now.saturating_duration_since(heard.at) < self.lease;
            changed |= !there && !heard.beat.leaving;
            there
        });
        changed
    }

    /// Begins every lease anew: this member was deaf for a while, so that
    /// silence proves nothing.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.others.values_mut().for_each(|heard| heard.at = now);
    }

    /// When the next lease ends unless its member is heard.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.others.values().map(|heard| heard.at + self.lease).min()
    }

    pub(crate) fn view(&self) -> View {
        let others = self.others.values().map(|heard| &heard.beat);
        let there = others.chain([&self.own]).filter(|beat| !beat.leaving);
        View::of(there.map(|beat| (beat.member.clone(), MemberInfo::from(beat))).collect())
    }
}

impl Beat {
    fn same_content(&self, other: &Self) -> bool {
        (&self.agents, &self.groups, &self.forwards, self.draining, self.leaving)
            == (&other.agents, &other.groups, &other.forwards, other.draining, other.leaving)
    }
}

impl From<&Beat> for MemberInfo {
    fn from(beat: &Beat) -> Self {
        let (groups, forwards) = (beat.groups.clone(), beat.forwards.clone());
        Self { agents: Arc::clone(&beat.agents), groups, forwards, draining: beat.draining }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    fn group() -> Segment {
        Segment::parse("g").unwrap()
    }

    fn roster(own: &str) -> Roster {
        let mut roster = Roster::new(own.into(), LEASE);
        roster.change_own(|beat| beat.groups.extend([group()]));
        roster
    }

    fn beat(member: &str, n: u64) -> Beat {
        Beat {
            member: member.into(),
            n,
            agents: Arc::default(),
            groups: BTreeSet::from([group()]),
            forwards: BTreeSet::new(),
            draining: false,
            leaving: false,
        }
    }

    fn names(roster: &Roster) -> Vec<String> {
        roster.view().members().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn a_member_is_there_for_a_lease_after_it_was_last_heard() {
        let (mut roster, start) = (roster("a"), Instant::now());
        assert!(roster.hear(beat("b", 1), start));
        assert!(!roster.hear(beat("b", 2), start + Duration::from_secs(2)), "nothing new in it");
        assert!(!roster.expire(start + Duration::from_secs(4)));
        assert_eq!(names(&roster), ["a", "b"]);
        assert!(roster.expire(start + Duration::from_secs(5)));
        assert_eq!(names(&roster), ["a"]);
    }

    #[test]
    fn a_clean_leave_is_seen_at_once_and_a_late_heartbeat_changes_nothing() {
        let (mut roster, now) = (roster("a"), Instant::now());
        roster.hear(beat("b", 1), now);
        assert!(roster.hear(Beat { leaving: true, ..beat("b", 3) }, now));
        assert_eq!(names(&roster), ["a"]);
        assert!(!roster.hear(beat("b", 2), now));
        assert_eq!(names(&roster), ["a"]);
    }

    #[test]
    fn silence_proves_nothing_while_one_is_deaf_oneself() {
        let (mut roster, start) = (roster("a"), Instant::now());
        roster.hear(beat("b", 1), start);
        let later = start + Duration::from_secs(60);
        roster.forgive(later);
        assert!(!roster.expire(later));
        assert_eq!(roster.next_deadline(), Some(later + LEASE));
    }

    #[test]
    fn members_agree_on_owners_and_each_has_a_share() {
        let (mut a, mut b, now) = (roster("a"), roster("b"), Instant::now());
        a.hear(beat("b", 1), now);
        b.hear(beat("a", 1), now);
        let owners = |roster: &Roster| -> Vec<MemberId> {
            (0..32).map(|p| roster.view().owner(&group(), Partition(p)).unwrap().clone()).collect()
        };
        assert_eq!(owners(&a), owners(&b));
        assert_eq!(owners(&a).into_iter().collect::<BTreeSet<_>>().len(), 2);
    }

    #[test]
    fn one_that_goes_moves_only_its_own_partitions() {
        let (mut a, now) = (roster("a"), Instant::now());
        a.hear(beat("b", 1), now);
        a.hear(beat("c", 1), now);
        let owner = |roster: &Roster, p| roster.view().owner(&group(), Partition(p)).unwrap().clone();
        let before: Vec<_> = (0..32).map(|p| owner(&a, p)).collect();
        a.hear(Beat { leaving: true, ..beat("c", 2) }, now);
        for (p, was) in before.iter().enumerate().filter(|(_, was)| was.as_str() != "c") {
            assert_eq!(owner(&a, p as u16), *was);
        }
    }

    #[test]
    fn a_draining_member_is_there_but_owns_nothing() {
        let (mut a, now) = (roster("a"), Instant::now());
        a.hear(Beat { draining: true, ..beat("b", 1) }, now);
        assert_eq!(names(&a), ["a", "b"]);
        assert!((0..32).all(|p| a.view().owner(&group(), Partition(p)).unwrap().as_str() == "a"));
    }

    #[test]
    fn an_agent_is_present_while_any_member_has_it() {
        let (mut a, now) = (roster("a"), Instant::now());
        let agent = AgentName::parse("/x").unwrap();
        let pool = Segment::parse("builders").unwrap();
        let presence = Presence { agent: agent.clone(), pools: vec![pool.clone()], capabilities: vec![], sessions: 1 };
        a.hear(Beat { agents: Arc::new(vec![presence.into()].into()), ..beat("b", 1) }, now);
        assert!(a.view().agent_present(&agent) && a.view().pool_present(&pool));
        assert!(a.view().has_agent(&"b".into(), &agent) && !a.view().has_agent(&"a".into(), &agent));
        assert!(!a.view().capability_present(&pool));
        a.hear(beat("b", 2), now);
        assert!(!a.view().agent_present(&agent));
    }
}
