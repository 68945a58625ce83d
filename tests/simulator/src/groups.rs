//! Groups: who is in them and how they are called. Members change them through the control API; their devices are told,
//! and ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::Account;
use crate::store::{Kind, Rows};
use crate::world::World;
use crate::{clock, rng, stanza};

/// Whose rows groups are.
const OWNER: &str = "groups";
/// How ids of groups begin since they no longer contain their creator's number; twelve digits follow.
const ID_PREFIX: &str = "120363";
const ID_RANGE: u64 = 1_000_000_000_000;

/// What a participant may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Member,
    Admin,
    SuperAdmin,
}

impl Role {
    /// As it is written, which for plain members it isn't.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// Somebody in a group.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Participant {
    pub number: String,
    pub role: Role,
}

/// A group's text about itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Description {
    pub id: String,
    pub text: String,
    pub owner: String,
    pub time: u64,
}

/// One group. People are phone numbers in here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Group {
    pub id: String,
    pub subject: String,
    pub subject_owner: String,
    pub subject_time: u64,
    pub creator: String,
    pub creation: u64,
    pub participants: Vec<Participant>,
    pub description: Option<Description>,
    /// Only admins may write.
    pub announce: bool,
    /// Only admins may change what the group says about itself.
    pub locked: bool,
    /// After so many seconds messages disappear.
    pub ephemeral: Option<u32>,
}

/// What can happen to a group once it is there.
#[derive(Clone, Debug)]
pub enum Happening {
    Add(Vec<String>),
    Remove(Vec<String>),
    Subject(String),
    Description(String),
    Announce(bool),
    Locked(bool),
    Ephemeral(Option<u32>),
}

/// All groups, by id.
#[derive(Default)]
pub struct Groups {
    all: Mutex<BTreeMap<String, Group>>,
}

impl Group {
    pub fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }

    pub fn has(&self, number: &str) -> bool {
        self.participants.iter().any(|participant| participant.number == number)
    }

    /// What somebody may do; none who isn't in it.
    pub fn role(&self, number: &str) -> Option<Role> {
        self.participants.iter().find(|participant| participant.number == number).map(|known| known.role)
    }

    fn keep(&self, world: &World) {
        world.store.shelf(OWNER).put_json(Kind::Group, self.id.as_str(), self);
    }

    /// Makes it happen; the numbers of those who hear of it.
    fn apply(&mut self, happening: &Happening, by: &str) -> Vec<String> {
        let before: Vec<String> = self.participants.iter().map(|known| known.number.clone()).collect();
        match happening {
            Happening::Add(numbers) => {
                let new = numbers.iter().filter(|number| !before.contains(number));
                let new = new.map(|number| Participant { number: number.clone(), role: Role::Member });
                self.participants.extend(new);
                return self.participants.iter().map(|known| known.number.clone()).collect();
            }
            // Whoever is thrown out hears so.
            Happening::Remove(numbers) => self.participants.retain(|known| !numbers.contains(&known.number)),
            Happening::Subject(subject) => {
                self.subject.clone_from(subject);
                by.clone_into(&mut self.subject_owner);
                self.subject_time = clock::unix_seconds();
            }
            Happening::Description(text) => {
                let time = clock::unix_seconds();
                let id = hex::encode_upper(clock::unix_millis().to_be_bytes());
                self.description = Some(Description { id, text: text.clone(), owner: by.to_owned(), time });
            }
            Happening::Announce(announce) => self.announce = *announce,
            Happening::Locked(locked) => self.locked = *locked,
            Happening::Ephemeral(seconds) => self.ephemeral = *seconds,
        }
        before
    }

    /// `<group>` as it is shown to its members.
    fn node(&self, world: &World, with_participants: bool, with_description: bool) -> Node {
        let mut children = Vec::new();
        if with_participants {
            children.extend(self.participants.iter().filter_map(|known| known.node(world)));
        }
        if with_description && let Some(description) = &self.description {
            children.push(description.node(world));
        }
        children.extend(self.announce.then(|| stanza::empty("announcement")));
        children.extend(self.locked.then(|| stanza::empty("locked")));
        children.extend(
            self.ephemeral.map(|seconds| NodeBuilder::new("ephemeral").attr("expiration", seconds).build()),
        );
        let mut node = NodeBuilder::new("group")
            .attr("id", self.id.as_str())
            .attr("addressing_mode", "lid")
            .attr("subject", self.subject.as_str())
            .attr("s_t", self.subject_time)
            .attr("creation", self.creation)
            .attr("size", self.participants.len());
        if let Some(owner) = world.account(&self.subject_owner) {
            node = node.attr("s_o", owner.lid()).attr("s_o_pn", owner.pn());
        }
        if let Some(creator) = world.account(&self.creator) {
            node = node.attr("creator", creator.lid()).attr("creator_pn", creator.pn());
        }
        node.children(children).build()
    }
}

impl Participant {
    fn node(&self, world: &World) -> Option<Node> {
        let account = world.account(&self.number)?;
        let node =
            NodeBuilder::new("participant").attr("jid", account.lid()).attr("phone_number", account.pn());
        Some(if let Some(role) = self.role.name() { node.attr("type", role).build() } else { node.build() })
    }
}

impl Description {
    fn node(&self, world: &World) -> Node {
        let mut node = NodeBuilder::new("description").attr("id", self.id.as_str()).attr("t", self.time);
        if let Some(owner) = world.account(&self.owner) {
            node = node.attr("participant", owner.lid()).attr("participant_pn", owner.pn());
        }
        node.children([NodeBuilder::new("body").string_content(self.text.as_str()).build()]).build()
    }
}

impl Groups {
    pub fn restore(&self, rows: &mut Rows) -> Result<()> {
        *self.locked() = rows.take_json(Kind::Group, OWNER)?.into_iter().collect();
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Group>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: &str) -> Option<Group> {
        self.locked().get(id).cloned()
    }

    pub fn list(&self) -> Vec<Group> {
        self.locked().values().cloned().collect()
    }

    pub fn clear(&self) {
        self.locked().clear();
    }

    /// Founds a group and tells everybody in it. The id and the time are filled in here.
    pub fn create(&self, world: &World, mut group: Group) -> Group {
        let mut all = self.locked();
        let mut rng = rng::derive(world.seed, "group", &format!("{}/{}", group.creator, all.len()));
        group.id = std::iter::repeat_with(|| format!("{ID_PREFIX}{:012}", rng.next_u64() % ID_RANGE))
            .find(|id| !all.contains_key(id))
            .unwrap_or_default();
        group.creation = clock::unix_seconds();
        group.subject_time = group.creation;
        world.store.unit(|| {
            group.keep(world);
            let create = NodeBuilder::new("create").attr("type", "new");
            let create = create.children([group.node(world, true, true)]).build();
            for participant in &group.participants {
                tell(world, &group, &group.creator, &participant.number, &create);
            }
        });
        all.insert(group.id.clone(), group.clone());
        group
    }

    /// Changes a group and tells its members; none when there is no such group.
    pub fn happen(&self, world: &World, id: &str, by: &str, happening: &Happening) -> Option<Group> {
        let mut all = self.locked();
        let group = all.get_mut(id)?;
        world.store.unit(|| {
            let newcomers = match happening {
                Happening::Add(numbers) => {
                    numbers.iter().filter(|number| !group.has(number)).cloned().collect()
                }
                _ => Vec::new(),
            };
            let told = group.apply(happening, by);
            group.keep(world);
            let action = happening.node(world, group);
            for number in told {
                // Somebody who is added learns what to.
                let action = if newcomers.contains(&number) {
                    NodeBuilder::new("create").children([group.node(world, true, true)]).build()
                } else {
                    action.clone()
                };
                tell(world, group, by, &number, &action);
            }
        });
        Some(group.clone())
    }
}

impl Happening {
    /// The child of the notification.
    fn node(&self, world: &World, group: &Group) -> Node {
        let people = |tag: &'static str, numbers: &[String]| {
            let nodes = numbers
                .iter()
                .filter_map(|number| Participant { number: number.clone(), role: Role::Member }.node(world));
            NodeBuilder::new(tag).children(nodes).build()
        };
        match self {
            Self::Add(numbers) => people("add", numbers),
            Self::Remove(numbers) => people("remove", numbers),
            Self::Subject(subject) => {
                let node = NodeBuilder::new("subject")
                    .attr("subject", subject.as_str())
                    .attr("s_t", group.subject_time);
                match world.account(&group.subject_owner) {
                    Some(owner) => node.attr("s_o", owner.lid()).attr("s_o_pn", owner.pn()).build(),
                    None => node.build(),
                }
            }
            Self::Description(_) => {
                let description = group.description.as_ref().map(|description| description.node(world));
                description.unwrap_or_else(|| stanza::empty("description"))
            }
            Self::Announce(on) => stanza::empty(if *on { "announcement" } else { "not_announcement" }),
            Self::Locked(on) => stanza::empty(if *on { "locked" } else { "unlocked" }),
            Self::Ephemeral(Some(seconds)) => {
                NodeBuilder::new("ephemeral").attr("expiration", *seconds).build()
            }
            Self::Ephemeral(None) => stanza::empty("not_ephemeral"),
        }
    }
}

/// Tells all devices of one member.
fn tell(world: &World, group: &Group, by: &str, number: &str, action: &Node) {
    let Some(member) = world.account(number) else { return };
    for device in member.devices() {
        let mut notification = NodeBuilder::new("notification")
            .attr("from", group.jid())
            .attr("type", "w:gp2")
            .attr("id", member.stanza_id())
            .attr("t", clock::unix_seconds())
            .attr("addressing_mode", "lid");
        if let Some(actor) = world.account(by) {
            notification = notification
                .attr("participant", actor.lid())
                .attr("participant_pn", actor.pn())
                .attr("notify", actor.push_name.as_str());
        }
        device.mailbox.push(notification.children([action.clone()]).build());
    }
}

/// Answers an iq of the namespace `w:g2`.
pub fn answer(world: &World, asker: &Account, iq: &Node) -> Node {
    if stanza::attr(iq, "type") != "get" {
        return stanza::error(iq, 501, "feature-not-implemented");
    }
    if let Some(participating) = iq.get_optional_child("participating") {
        let wants = |part| participating.get_optional_child(part).is_some();
        let (people, description) = (wants("participants"), wants("description"));
        let groups = world.groups.list().into_iter().filter(|group| group.has(&asker.number));
        let groups = groups.map(|group| group.node(world, people, description));
        return stanza::result(iq, [NodeBuilder::new("groups").children(groups).build()]);
    }
    let group = stanza::jid(iq, "to").and_then(|jid| world.groups.get(jid.user_base()));
    match group {
        None => stanza::error(iq, 404, "item-not-found"),
        Some(group) if !group.has(&asker.number) => stanza::error(iq, 403, "forbidden"),
        Some(group) => stanza::result(iq, [group.node(world, true, true)]),
    }
}
