use std::{fs, io, os::unix::fs::chown, path::Path};

/// A user of this machine that a private database runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The user to change to, `usual` or `nobody`; none unless we are root, as whom PostgreSQL refuses to run.
    pub(super) fn needed(usual: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let nobody = Self { name: "nobody".to_owned(), uid: 65534, gid: 65534 };
        Some(find(&accounts, usual).or_else(|| find(&accounts, "nobody")).unwrap_or(nobody))
    }

    /// Gives a file or folder to the account.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }
}

/// The name of the user that this process runs as, where the system knows it.
pub(super) fn own_name() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users(&accounts).find(|account| account.uid == uid).map(|account| account.name)
}

/// Looks a user up in the text of `/etc/passwd`.
fn find(accounts: &str, name: &str) -> Option<Account> {
    users(accounts).find(|account| account.name == name)
}

/// The users in the text of `/etc/passwd`.
fn users(accounts: &str) -> impl Iterator<Item = Account> {
    accounts.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Account { name, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0::/root:/bin/sh\npostgresql:x:1:2::/:\npostgres:x:101:104:PostgreSQL,,,:/var:/bin/sh\n";
        let found = find(accounts, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert_eq!(find(accounts, "nobody"), None);
        assert_eq!(find("postgres:x:many", "postgres"), None);
    }
}
