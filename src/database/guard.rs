use std::{fmt::Write as _, ops::RangeInclusive};

use super::{Bound, Inspection, OtherClients};
use crate::model::Dialect;

/// What a run wants of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The sizes of a pool to try.
    pub connections: RangeInclusive<u32>,
    /// Pools that are open at once, each of that size.
    pub instances: u32,
    /// Connections that the program itself keeps open beside the pool.
    pub own: u32,
    /// Whether the workload prepares tables of its own.
    pub makes_schema: bool,
    /// Whether the person said that the database may be loaded although others use it.
    pub load_in_use: bool,
}

/// What a run may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The sizes of the pool that there is room for: those wanted, cut at the upper end.
    pub connections: RangeInclusive<u32>,
    /// What the person should be told.
    pub notices: Vec<String>,
}

/// Why a run must not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Others use the server.
    #[error(
        "load the database: others are connected to its server ({clients}), and a run would slow them down; use another \
         database, or pass `--yes-load-this-database`"
    )]
    InUse {
        /// Who, and with how many connections.
        clients: String,
    },
    /// The pool's smallest size does not fit.
    #[error(
        "find room for the pool: it needs at least {needed} connections{} and the program {own} more, and the server has \
         {free} free ({why}); {remedy}, or lower the range of `max_connections`",
        in_each(*.instances)
    )]
    TooFewFree {
        /// The smallest size of a pool.
        needed: u32,
        /// Pools of that size.
        instances: u32,
        /// Connections of the program itself.
        own: u32,
        /// Connections that are free.
        free: u32,
        /// The sum that leads there.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// The settings in use do not fit into what is free.
    #[error(
        "find room for the settings in use: their `max_connections` is {needed}{} and the program needs {own} more, and the \
         server has {free} free ({why}); {remedy}, or say what is really in use: `settings: {{max_connections: …}}` in the \
         profile, or `--pin max_connections=…`",
        in_each(*.instances)
    )]
    InUseTooLarge {
        /// Connections of the settings in use.
        needed: u32,
        /// Pools of that size.
        instances: u32,
        /// Connections that the program needs itself.
        own: u32,
        /// Connections free.
        free: u32,
        /// Where that number comes from.
        why: String,
        /// How to get more.
        remedy: String,
    },
    /// A standby takes no tables.
    #[error(
        "prepare the workload's tables: the server is a standby, which takes no writes; give the URL of the primary, or \
         use a workload without `prepare`"
    )]
    Replica,
    /// The user may not create a schema.
    #[error(
        "prepare the workload's tables: the user may not create a schema in this database; run `GRANT CREATE ON DATABASE \
         … TO …`, give the URL of another user, or use a workload without `prepare`"
    )]
    NoSchema,
}

/// Decides, before any load, whether a run may go ahead on a database that a person named.
///
/// # Errors
/// [`Refusal`], which says what to change.
pub fn guard(inspection: &Inspection, demand: &Demand) -> Result<Allowance, Refusal> {
    let mut notices = Vec::new();
    if !inspection.other_clients.is_empty() {
        let clients = describe(&inspection.other_clients);
        if !demand.load_in_use {
            return Err(Refusal::InUse { clients });
        }
        notices.push(format!(
            "others are connected to the server ({clients}); they and the measurements will feel each other"
        ));
    }
    if demand.makes_schema && inspection.is_replica {
        return Err(Refusal::Replica);
    }
    if demand.makes_schema && !inspection.may_create_schema {
        return Err(Refusal::NoSchema);
    }
    let (low, high) = (*demand.connections.start(), *demand.connections.end());
    let instances = demand.instances.max(1);
    let room = inspection.free.saturating_sub(demand.own) / instances;
    if room < low.max(1) {
        let remedy = remedy(inspection);
        let (own, free) = (demand.own, inspection.free);
        return Err(Refusal::TooFewFree { needed: low.max(1), instances, own, free, why: sum(inspection), remedy });
    }
    if room < high {
        notices.push(format!(
            "the range of `max_connections` is cut from {low}..{high} to {low}..{room}: {} connections are free ({}), of \
             which the program keeps {}{}",
            inspection.free,
            sum(inspection),
            demand.own,
            if instances == 1 { String::new() } else { format!(", and {instances} pools share the rest") },
        ));
    }
    Ok(Allowance { connections: low..=high.min(room), notices })
}

/// What follows the size of one pool where there are several.
fn in_each(instances: u32) -> String {
    if instances == 1 { String::new() } else { format!(" in each of {instances} pools") }
}

/// How the free connections come about.
fn sum(inspection: &Inspection) -> String {
    let Inspection { max_connections, reserved, in_use, bound, .. } = inspection;
    match bound {
        Bound::Server => format!("`max_connections` {max_connections}, {reserved} reserved, {in_use} in use"),
        Bound::Role { name, limit, in_use } => format!("role `{name}` is limited to {limit}, {in_use} in use"),
        Bound::Database { name, limit, in_use } => format!("database `{name}` is limited to {limit}, {in_use} in use"),
    }
}

fn remedy(inspection: &Inspection) -> String {
    match &inspection.bound {
        Bound::Role { name, .. } if inspection.dialect == Dialect::MySql => {
            format!("raise the limit by `ALTER USER {name} WITH MAX_USER_CONNECTIONS …`")
        }
        Bound::Server => "close other connections or raise the server's `max_connections`".to_owned(),
        Bound::Role { name, .. } => format!("raise the limit by `ALTER ROLE {name} CONNECTION LIMIT …`"),
        Bound::Database { name, .. } => format!("raise the limit by `ALTER DATABASE {name} CONNECTION LIMIT …`"),
    }
}

/// Who is connected, in a line: the largest groups by application and user.
fn describe(clients: &[OtherClients]) -> String {
    const NAMED: usize = 4;
    let mut groups: Vec<(String, u32, u32)> = Vec::new();
    for client in clients {
        let application = if client.application.is_empty() { "unnamed" } else { &client.application };
        let name = format!("{application} as {}", if client.user.is_empty() { "?" } else { &client.user });
        let active = if client.state.as_deref().is_some_and(|state| state != "idle") { client.count } else { 0 };
        if let Some(group) = groups.iter_mut().find(|group| group.0 == name) {
            group.1 += client.count;
            group.2 += active;
        } else {
            groups.push((name, client.count, active));
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.1));
    let total: u32 = groups.iter().map(|group| group.1).sum();
    let mut text = format!("{total} connection{}: ", if total == 1 { "" } else { "s" });
    for (place, (name, count, active)) in groups.iter().take(NAMED).enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _written = write!(text, "{comma}{count} by {name}, {active} active");
    }
    if groups.len() > NAMED {
        let rest: u32 = groups[NAMED..].iter().map(|group| group.1).sum();
        let _written = write!(text, ", {rest} by others");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection() -> Inspection {
        Inspection {
            dialect: Dialect::Postgres,
            version: "PostgreSQL 15.18".to_owned(),
            max_connections: 100,
            reserved: 3,
            in_use: 0,
            free: 97,
            bound: Bound::Server,
            other_clients: Vec::new(),
            is_replica: false,
            may_create_schema: true,
            settings: Vec::new(),
        }
    }

    fn demand() -> Demand {
        Demand { connections: 2..=30, instances: 1, own: 1, makes_schema: true, load_in_use: false }
    }

    fn client(application: &str, state: &str, count: u32) -> OtherClients {
        OtherClients {
            application: application.to_owned(),
            user: "shop".to_owned(),
            database: "shop".to_owned(),
            state: Some(state.to_owned()),
            count,
        }
    }

    #[test]
    fn an_idle_server_with_room_gives_what_is_wanted() {
        assert_eq!(guard(&inspection(), &demand()), Ok(Allowance { connections: 2..=30, notices: Vec::new() }));
    }

    #[test]
    fn a_database_in_use_is_refused_with_names_numbers_and_the_flag() {
        let other_clients = vec![client("webapp", "idle", 12), client("webapp", "active", 3), client("", "idle", 1)];
        let inspection = Inspection { other_clients, in_use: 16, free: 81, ..inspection() };
        let message = guard(&inspection, &demand()).unwrap_err().to_string();
        assert!(
            message.contains("16 connections: 15 by webapp as shop, 3 active, 1 by unnamed as shop, 0 active"),
            "{message}"
        );
        assert!(message.contains("--yes-load-this-database"), "{message}");

        let allowed = guard(&inspection, &Demand { load_in_use: true, ..demand() }).unwrap();
        assert_eq!(allowed.connections, 2..=30);
        assert!(allowed.notices[0].contains("webapp"), "{:?}", allowed.notices);
    }

    #[test]
    fn many_groups_of_clients_are_summed_up() {
        let clients: Vec<_> = (1..=9).map(|n| client(&format!("app{n}"), "idle", n)).collect();
        let text = describe(&clients);
        assert!(text.starts_with("45 connections: 9 by app9") && text.ends_with("15 by others"), "{text}");
    }

    #[test]
    fn the_range_is_cut_to_what_is_free() {
        let inspection = Inspection { max_connections: 20, free: 17, ..inspection() };
        let allowed = guard(&inspection, &demand()).unwrap();
        assert_eq!(allowed.connections, 2..=16);
        assert!(allowed.notices[0].contains("from 2..30 to 2..16"), "{:?}", allowed.notices);
    }

    #[test]
    fn nothing_left_is_refused_with_numbers_and_remedy() {
        let bound = Bound::Role { name: "shop".to_owned(), limit: 2, in_use: 0 };
        let inspection = Inspection { free: 2, bound, ..inspection() };
        let message = guard(&inspection, &demand()).unwrap_err().to_string();
        assert!(message.contains("at least 2") && message.contains("has 2 free"), "{message}");
        assert!(message.contains("ALTER ROLE shop CONNECTION LIMIT"), "{message}");
    }

    #[test]
    fn tables_need_a_primary_and_the_right_to_make_them() {
        let replica = Inspection { is_replica: true, ..inspection() };
        assert_eq!(guard(&replica, &demand()), Err(Refusal::Replica));
        let strict = Inspection { may_create_schema: false, ..inspection() };
        assert_eq!(guard(&strict, &demand()), Err(Refusal::NoSchema));
        let reads = Demand { makes_schema: false, ..demand() };
        assert!(guard(&replica, &reads).is_ok() && guard(&strict, &reads).is_ok());
    }
}
