//! The directory of the file driver: its names, its marker, its quarantine.
//!
//! Nothing here is opened that the engine did not make: every name is 64 hexadecimal characters, opened without following
//! links and checked to be a private regular file of one name. A file that is something else is refused and left where it is.

use super::Durability;
use crate::error::{Error, Result};
use crate::id::{Locator, random_bytes};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::fs::{chmodat, fchmod, fstat, fsync, mkdirat, open, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

const MARKER: &str = ".holdall";
const QUARANTINE: &str = "quarantine";
const TEMPORARY: &str = ".tmp-";
/// A temporary file this old was left by a process that was killed.
const STALE_TEMPORARY_S: u64 = 3600;
/// How much damage is kept for a person to look at.
const QUARANTINE_FILES: usize = 100;
const QUARANTINE_AGE_S: u64 = 30 * 24 * 3600;
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What the marker file says: what every process that shares the directory has to agree on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    format: u32,
    layout: String,
    durability: Durability,
}

pub(super) struct Directory {
    fd: OwnedFd,
    uid: u32,
    /// Whether a file can be made without a name and given one later: that goes through /proc.
    unnamed: bool,
}

/// An entry of the directory, as its name tells.
pub(super) enum Entry {
    Session(Locator),
    Temporary(CString),
    /// Not the engine's: never touched.
    Foreign,
}

/// No link, and nothing else than a directory.
const ONLY_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes a directory for its owner alone, and what is missing above it. Gives what it made, the uppermost last.
fn make_private(path: &Path) -> std::io::Result<Vec<&Path>> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    for path in missing.iter().rev() {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            // The process's umask may have taken bits away.
            Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?,
            // Another process was quicker.
            Err(_) if path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

/// Syncs the directory that holds a name, so that a power loss does not take the name with all there is under it.
fn sync_name(path: &Path) -> Result<(), Errno> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    let fd = open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    retry_on_intr(|| fsync(&fd))
}

/// A system call that failed. Whether to try again follows from the error number: a full disk is emptied, a table of
/// descriptors gets room; a read-only file system and missing rights stay.
pub(super) fn io_error(what: &'static str, errno: Errno) -> Error {
    let retryable = !matches!(errno, Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG | Errno::NOSYS);
    Error::unavailable(format!("file driver: {what} failed"), retryable).with_source(errno)
}

impl Directory {
    /// Opens the directory, making it and its marker where they are not there yet.
    pub(super) fn open(path: &str, durability: Durability, allow_network: bool) -> Result<Directory> {
        let refused = |reason: String| Error::config("path", format!("{path:?}: {reason}"));
        let made = make_private(path.as_ref()).map_err(|error| refused("cannot be made".into()).with_source(error))?;
        if durability == Durability::Commit {
            for made in made {
                sync_name(made).map_err(|errno| io_error("syncing what holds the session directory", errno))?;
            }
            // Another process may have made it a moment ago. Where that cannot be synced, it was made long before.
            let _ = sync_name(path.as_ref());
        }
        let fd = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| refused("cannot be opened".into()).with_source(errno))?;
        let stat = fstat(&fd).map_err(|errno| refused("cannot be looked at".into()).with_source(errno))?;
        let uid = rustix::process::geteuid().as_raw();
        if stat.st_uid != uid {
            return Err(refused(format!("belongs to user {}, this process is user {uid}", stat.st_uid)));
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
            return Err(refused("others may enter it; make it private with: chmod 700".into()));
        }
        if !allow_network && let Some(kind) = network_file_system(&fd)? {
            return Err(refused(format!(
                "is on a network file system ({kind}), where locks and crash promises do not hold; \
                 set allow_network_file_system to true to use it all the same"
            )));
        }
        let unnamed = cfg!(target_os = "linux") && statat(CWD, "/proc/self/fd", AtFlags::empty()).is_ok();
        let directory = Directory { fd, uid, unnamed };
        directory.agree(path, durability)?;
        Ok(directory)
    }

    /// Reads the marker, or leaves one. Two processes that differ in what they promise must not share a directory.
    fn agree(&self, path: &str, durability: Durability) -> Result<()> {
        let wanted = Layout { format: 1, layout: "flat".into(), durability };
        let text = serde_json::to_string(&wanted).expect("a plain structure") + "\n";
        // NONBLOCK: a FIFO under the name must not hang the start.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            match openat(&self.fd, MARKER, flags, Mode::empty()) {
                Ok(fd) => {
                    let mut found = [0; 512];
                    let read = retry_on_intr(|| rustix::io::pread(&fd, &mut found, 0))
                        .map_err(|errno| io_error("reading the directory's marker", errno))?;
                    let found: Layout = serde_json::from_slice(&found[..read]).map_err(|error| {
                        Error::config("path", format!("{path:?} has a {MARKER} that is not Holdall's"))
                            .with_source(error)
                    })?;
                    if found.format != wanted.format || found.layout != wanted.layout {
                        let (format, layout) = (found.format, found.layout);
                        let reason = format!(
                            "{path:?} has format {format}, layout {layout:?}; this release has format 1, \"flat\""
                        );
                        return Err(Error::config("path", reason));
                    }
                    if found.durability != durability {
                        let name = |durability| match durability {
                            Durability::None => "none",
                            Durability::Commit => "commit",
                        };
                        let reason = format!(
                            "{path:?} was made with {:?}, this asks for {:?}; every process that shares it must ask for the same",
                            name(found.durability),
                            name(durability)
                        );
                        return Err(Error::config("durability", reason));
                    }
                    return Ok(());
                }
                Err(Errno::NOENT) => {
                    let file = self.new_file()?;
                    super::write_all(file.fd(), text.as_bytes(), 0)
                        .and_then(|()| super::data_sync(file.fd()))
                        .map_err(|errno| io_error("writing the directory's marker", errno))?;
                    file.give_name_text(self, MARKER)?;
                    self.sync()?;
                }
                Err(errno) => return Err(io_error("opening the directory's marker", errno)),
            }
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        retry_on_intr(|| fsync(&self.fd)).map_err(|errno| io_error("syncing the session directory", errno))
    }

    /// Opens a session's file. None where the name is not there.
    pub(super) fn open_session(&self, locator: &Locator, access: OFlags) -> Result<Option<OwnedFd>> {
        found(self.try_open(locator, access))
    }

    /// Opens a session's file so that it can be written later, or else (then false) so that it can be read.
    pub(super) fn open_to_load(&self, locator: &Locator) -> Result<Option<(OwnedFd, bool)>> {
        let (opened, to_write) = match self.try_open(locator, OFlags::RDWR) {
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => (self.try_open(locator, OFlags::RDONLY), false),
            opened => (opened, true),
        };
        Ok(found(opened)?.map(|fd| (fd, to_write)))
    }

    fn try_open(&self, locator: &Locator, access: OFlags) -> Result<OwnedFd, Errno> {
        // NONBLOCK and NOCTTY: a FIFO or a terminal under the name neither hangs us nor becomes ours.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // Nobody asks when a session was last read, and to note it writes the inode.
        #[cfg(target_os = "linux")]
        let flags = flags | OFlags::NOATIME;
        retry_on_intr(|| openat(&self.fd, locator.to_hex().as_c_str(), flags, Mode::empty()))
    }

    /// The file's status, if it is one the engine made: regular, ours, private, of one name. None where it has lost its
    /// name since it was opened.
    pub(super) fn checked_stat(&self, fd: BorrowedFd<'_>) -> Result<Option<Stat>> {
        let stat = fstat(fd).map_err(|errno| io_error("looking at a session file", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_ours("is not a regular file"));
        }
        // The user may have changed since the directory was opened; asking again costs a call and is rarely needed.
        if stat.st_uid != self.uid && stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(not_ours("belongs to another user"));
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
            return Err(not_ours("is open to group or others"));
        }
        match stat.st_nlink {
            0 => Ok(None),
            1 => Ok(Some(stat)),
            _ => Err(not_ours("has several hard links")),
        }
    }

    /// Whether a session's name still is this file's.
    pub(super) fn refers_to(&self, locator: &Locator, stat: &Stat) -> Result<bool> {
        match statat(&self.fd, locator.to_hex().as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(named.st_ino == stat.st_ino && named.st_dev == stat.st_dev),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(io_error("looking up a session file", errno)),
        }
    }

    pub(super) fn unlink(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(io_error("removing a session file", errno)),
        }
    }

    /// Exchanges two names in one step.
    pub(super) fn exchange(&self, one: &Locator, other: &Locator) -> Result<()> {
        let (one, other) = (one.to_hex(), other.to_hex());
        renameat_with(&self.fd, one.as_c_str(), &self.fd, other.as_c_str(), RenameFlags::EXCHANGE)
            .map_err(|errno| io_error("moving a session file to its new id", errno))
    }

    /// A new private file that has no name yet, or a temporary one where the file system knows no other way.
    pub(super) fn new_file(&self) -> Result<NewFile> {
        let failed = |errno| io_error("creating a session file", errno);
        let private = |fd: &OwnedFd| fchmod(fd, PRIVATE);
        #[cfg(target_os = "linux")]
        if self.unnamed {
            match retry_on_intr(|| openat(&self.fd, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, PRIVATE)) {
                Ok(fd) => {
                    // The process's umask may have taken bits away.
                    private(&fd).map_err(failed)?;
                    return Ok(NewFile { fd, temporary: None });
                }
                // What file systems without O_TMPFILE answer.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        let name = format!("{TEMPORARY}{:016x}", u64::from_ne_bytes(random_bytes()?));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| openat(&self.fd, name.as_str(), flags, PRIVATE)).map_err(failed)?;
        private(&fd).map_err(failed)?;
        Ok(NewFile { fd, temporary: Some(name) })
    }

    /// Sets a file that cannot be read aside, for a person to look at.
    pub(super) fn quarantine(&self, locator: &Locator) -> Result<()> {
        match mkdirat(&self.fd, QUARANTINE, Mode::RWXU) {
            // The process's umask may have taken bits away.
            Ok(()) => drop(chmodat(&self.fd, QUARANTINE, Mode::RWXU, AtFlags::empty())),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(io_error("making the quarantine", errno)),
        }
        self.prune_quarantine()?;
        // Opened, and not walked through: a link in its place would lead the file out of the store.
        let quarantine = openat(&self.fd, QUARANTINE, ONLY_DIRECTORY, Mode::empty())
            .map_err(|errno| io_error("opening the quarantine", errno))?;
        let name = locator.to_hex();
        let aside = format!("{}.{:016x}", name.as_str(), u64::from_ne_bytes(random_bytes()?));
        renameat(&self.fd, name.as_str(), &quarantine, aside.as_str())
            .map_err(|errno| io_error("setting a damaged session file aside", errno))
    }

    /// Keeps the quarantine bounded in number and age: the oldest go.
    pub(super) fn prune_quarantine(&self) -> Result<()> {
        let fd = match openat(&self.fd, QUARANTINE, ONLY_DIRECTORY, Mode::empty()) {
            Ok(fd) => fd,
            Err(_) => return Ok(()),
        };
        let failed = |errno| io_error("reading the quarantine", errno);
        let mut kept = Vec::new();
        let now_s = crate::time::now_ms() / 1000;
        for entry in Dir::read_from(&fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(stat) = statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                kept.push((seconds(stat.st_ctime), entry.file_name().to_owned()));
            }
        }
        kept.sort_unstable();
        let too_many = kept.len().saturating_sub(QUARANTINE_FILES - 1);
        for (index, (since_s, name)) in kept.into_iter().enumerate() {
            if index < too_many || since_s.saturating_add(QUARANTINE_AGE_S) < now_s {
                let _ = unlinkat(&fd, name, AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Whether a session's file was written so lately that it cannot have expired.
    pub(super) fn is_younger_than(&self, locator: &Locator, now_ms: u64, life_ms: u64) -> bool {
        let stat = statat(&self.fd, locator.to_hex().as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        let written_ms = stat.map_or(0, |stat| {
            let nanoseconds = seconds(stat.st_mtime_nsec);
            seconds(stat.st_mtime).saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
        });
        (written_ms..written_ms.saturating_add(life_ms)).contains(&now_ms)
    }

    pub(super) fn remove_stale_temporary(&self, name: &CStr) {
        let Ok(stat) = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let old = seconds(stat.st_mtime).saturating_add(STALE_TEMPORARY_S) < crate::time::now_ms() / 1000;
        if old && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_uid == self.uid {
            let _ = unlinkat(&self.fd, name, AtFlags::empty());
        }
    }

    fn read_directory(&self) -> Result<Dir> {
        retry_on_intr(|| Dir::read_from(&self.fd)).map_err(|errno| io_error("reading the session directory", errno))
    }

    /// Every entry once, beginning at a random place: processes that start together sweep different parts.
    pub(super) fn entries(&self) -> Result<Entries> {
        let mut dir = self.read_directory()?;
        #[cfg(target_os = "linux")]
        {
            // ext4 and others order entries by a hash, and any position is a place in that order. Where positions mean
            // something else, the read begins at the end or the start, and goes round all the same.
            let place = i64::from(u32::from_ne_bytes(random_bytes()?) >> 1) << 32;
            let _ = dir.seek(place);
        }
        Ok(Entries { dir, first: None, wrapped: !cfg!(target_os = "linux") })
    }

    pub(super) fn entries_from_start(&self) -> Result<Entries> {
        Ok(Entries { dir: self.read_directory()?, first: None, wrapped: true })
    }

    /// The number of session files.
    pub(super) fn count(&self) -> Result<i64> {
        let mut entries = self.entries_from_start()?;
        let mut count = 0;
        while let Some(entry) = entries.next()? {
            count += i64::from(matches!(entry, Entry::Session(_)));
        }
        Ok(count)
    }
}

/// A part of a file's time; its type differs from platform to platform.
fn seconds(time: impl TryInto<u64>) -> u64 {
    time.try_into().unwrap_or(0)
}

fn found(opened: Result<OwnedFd, Errno>) -> Result<Option<OwnedFd>> {
    match opened {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        // What O_NOATIME answers for a file of another user, and any opening to write for one that is immutable.
        Err(Errno::PERM) => Err(not_ours("belongs to another user or is immutable")),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::NODEV) => Err(not_ours("is not a regular file")),
        Err(errno) => Err(io_error("opening a session file", errno)),
    }
}

fn not_ours(reason: &str) -> Error {
    Error::unavailable(format!("file driver: what lies under a session's name {reason}; it is left alone"), false)
}

/// One round through the directory.
pub(super) struct Entries {
    dir: Dir,
    /// Where this round began, to end there.
    first: Option<CString>,
    wrapped: bool,
}

impl Entries {
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let Some(entry) = self.dir.read() else {
                if self.wrapped {
                    return Ok(None);
                }
                self.wrapped = true;
                self.dir.rewind();
                continue;
            };
            let entry = entry.map_err(|errno| io_error("reading the session directory", errno))?;
            let text: &CStr = entry.file_name();
            if self.wrapped && self.first.as_deref() == Some(text) {
                return Ok(None);
            }
            if self.first.is_none() {
                self.first = Some(text.to_owned());
            }
            return Ok(Some(match Locator::from_hex(text.to_bytes()) {
                Some(locator) => Entry::Session(locator),
                None if text.to_bytes().starts_with(TEMPORARY.as_bytes()) => Entry::Temporary(text.to_owned()),
                None => Entry::Foreign,
            }));
        }
    }

    /// Takes note that a session's file was removed. If the round began with it, it ends with the one that came after: its name
    /// is not met again, and the whole directory would be read twice.
    pub(super) fn was_removed(&mut self, locator: &Locator) {
        if self.first.as_deref() == Some(locator.to_hex().as_c_str()) && !self.wrapped {
            self.first = None;
        }
    }
}

/// A file on its way to a name. Without one it vanishes on drop.
pub(super) struct NewFile {
    fd: OwnedFd,
    temporary: Option<String>,
}

impl NewFile {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Gives the file its name. False where the name is taken.
    pub(super) fn give_name(&self, directory: &Directory, locator: &Locator) -> Result<bool> {
        self.give_name_text(directory, locator.to_hex().as_str())
    }

    fn give_name_text(&self, directory: &Directory, name: &str) -> Result<bool> {
        let named = match &self.temporary {
            None => link_unnamed(self.fd(), directory, name),
            Some(temporary) => {
                renameat_with(&directory.fd, temporary.as_str(), &directory.fd, name, RenameFlags::NOREPLACE)
            }
        };
        if let (Err(_), Some(temporary)) = (&named, &self.temporary) {
            directory.unlink(temporary)?;
        }
        match named {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(io_error("naming a session file", errno)),
        }
    }
}

#[cfg(target_os = "linux")]
fn link_unnamed(fd: BorrowedFd<'_>, directory: &Directory, name: &str) -> Result<(), Errno> {
    use std::os::fd::AsRawFd as _;
    // The way that open(2) gives for a process without privileges.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::linkat(CWD, path.as_str(), &directory.fd, name, AtFlags::SYMLINK_FOLLOW)
}

#[cfg(not(target_os = "linux"))]
fn link_unnamed(_: BorrowedFd<'_>, _: &Directory, _: &str) -> Result<(), Errno> {
    Err(Errno::NOTSUP)
}

#[cfg(target_os = "linux")]
fn network_file_system(fd: &OwnedFd) -> Result<Option<&'static str>> {
    let kind = rustix::fs::fstatfs(fd).map_err(|errno| io_error("looking at the file system", errno))?.f_type;
    // The numbers of statfs(2) and the kernel's magic.h.
    Ok(match kind as u64 & 0xFFFF_FFFF {
        0x6969 => Some("NFS"),
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => Some("SMB"),
        0x5346_414F => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0102_1997 => Some("9P"),
        0x00C3_6400 => Some("Ceph"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636F => Some("OCFS2"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    })
}

#[cfg(target_os = "macos")]
fn network_file_system(fd: &OwnedFd) -> Result<Option<&'static str>> {
    let flags = rustix::fs::fstatfs(fd).map_err(|errno| io_error("looking at the file system", errno))?.f_flags;
    // MNT_LOCAL of sys/mount.h.
    Ok((flags & 0x1000 == 0).then_some("not local"))
}
