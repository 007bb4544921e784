//! The floors: the least that the same storage can do, written here as straightly as it can be. No record format, no checks,
//! no conflicts, no expiry. The cookie's is its own primitives: base64, cipher, nonce.

use crate::measure::{Dice, Lane, cycles, together};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timestamps};
use std::collections::HashMap;
use std::ffi::CStr;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

const SHARDS: usize = 64;

/// Keys are random already: eight bytes of one are its hash.
#[derive(Default)]
struct Bytes8(u64);

impl Hasher for Bytes8 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// On cache lines of its own, or two threads would wait for each other in different shards.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<[u8; 32], Vec<u8>, BuildHasherDefault<Bytes8>>>);

/// Payloads in shards of one mutex each.
#[derive(Clone)]
pub struct Shards(Arc<[Shard]>);

impl Shards {
    pub fn new(payloads: impl IntoIterator<Item = ([u8; 32], Vec<u8>)>) -> Shards {
        let shards = Shards((0..SHARDS).map(|_| Shard::default()).collect());
        for (key, payload) in payloads {
            shards.of(&key).0.lock().unwrap().insert(key, payload);
        }
        shards
    }

    fn of(&self, key: &[u8; 32]) -> &Shard {
        &self.0[usize::from(key[0]) % SHARDS]
    }

    /// Lock, look up, copy out.
    pub fn read(&self, key: &[u8; 32]) -> Vec<u8> {
        self.of(key).0.lock().unwrap()[key].clone()
    }

    /// Lock, look up, copy in, of the same size.
    pub fn write(&self, key: &[u8; 32], payload: &[u8]) {
        self.of(key).0.lock().unwrap().get_mut(key).unwrap().copy_from_slice(payload);
    }
}

/// Many payloads, and the keys to them.
#[derive(Clone)]
pub struct Memory {
    shards: Shards,
    keys: Arc<[[u8; 32]]>,
}

impl Memory {
    pub fn new(bytes: usize, number: usize) -> Memory {
        let mut dice = Dice::new();
        let keys: Arc<[[u8; 32]]> = (0..number).map(|_| dice.bytes()).collect();
        Memory { shards: Shards::new(keys.iter().map(|key| (*key, vec![7; bytes]))), keys }
    }

    fn read(&self, at: usize) -> Vec<u8> {
        self.shards.read(&self.keys[at])
    }

    fn write(&self, at: usize) {
        let copy = black_box(self.read(at));
        self.shards.write(&self.keys[at], &copy);
    }

    pub fn cycle(self) -> Lane {
        let mut dice = Dice::new();
        cycles(move || self.write(dice.below(self.keys.len())))
    }

    pub fn read_only(self) -> Lane {
        let mut dice = Dice::new();
        cycles(move || {
            black_box(self.read(dice.below(self.keys.len())));
        })
    }

    /// What the machine itself makes of threads at this moment.
    pub fn threads(self, threads: usize) -> Lane {
        let part = self.keys.len() / threads;
        together(threads, move |thread| {
            let (own, mut dice) = (self.clone(), Dice::new());
            move || own.write(thread * part + dice.below(part))
        })
    }
}

/// One file a session, in one directory that was opened once, under names of 64 characters.
#[derive(Clone)]
pub struct Files {
    directory: Arc<OwnedFd>,
    names: Arc<[[u8; 65]]>,
    bytes: usize,
}

impl Files {
    pub fn new(directory: &Path, bytes: usize, number: usize) -> Files {
        std::fs::create_dir(directory).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Arc::new(rustix::fs::open(directory, flags, Mode::empty()).unwrap());
        let mut dice = Dice::new();
        let names = (0..number).map(|_| name(&dice.bytes())).collect();
        let files = Files { directory, names, bytes };
        (0..number).for_each(|at| files.create(at));
        let mut buffer = files.buffer();
        (0..number).for_each(|at| files.read(at, &mut buffer));
        files
    }

    fn name(&self, at: usize) -> &CStr {
        CStr::from_bytes_with_nul(&self.names[at]).unwrap()
    }

    pub fn create(&self, at: usize) {
        let fd = self.open(at, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
        assert_eq!(rustix::io::pwrite(&fd, &vec![7; self.bytes], 0).unwrap(), self.bytes);
    }

    fn open(&self, at: usize, flags: OFlags) -> OwnedFd {
        rustix::fs::openat(&*self.directory, self.name(at), flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).unwrap()
    }

    fn buffer(&self) -> Vec<u8> {
        vec![0; self.bytes]
    }

    /// open, pread, close.
    fn read(&self, at: usize, buffer: &mut [u8]) {
        let fd = self.open(at, OFlags::RDONLY);
        assert_eq!(rustix::io::pread(&fd, &mut *buffer, 0).unwrap(), self.bytes);
        black_box(buffer);
    }

    /// open, flock, pread, pwrite, and fdatasync if it is to be durable, close.
    fn write(&self, at: usize, buffer: &mut [u8], durable: bool) {
        let fd = self.open(at, OFlags::RDWR);
        rustix::fs::flock(&fd, FlockOperation::LockExclusive).unwrap();
        assert_eq!(rustix::io::pread(&fd, &mut *buffer, 0).unwrap(), self.bytes);
        assert_eq!(rustix::io::pwrite(&fd, black_box(&*buffer), 0).unwrap(), self.bytes);
        if durable {
            rustix::fs::fdatasync(&fd).unwrap();
        }
    }

    pub fn cycle(self) -> Lane {
        self.writing(false)
    }

    pub fn durable_cycle(self) -> Lane {
        self.writing(true)
    }

    fn writing(self, durable: bool) -> Lane {
        let (mut dice, mut buffer) = (Dice::new(), self.buffer());
        cycles(move || self.write(dice.below(self.names.len()), &mut buffer, durable))
    }

    pub fn read_only(self) -> Lane {
        let (mut dice, mut buffer) = (Dice::new(), self.buffer());
        cycles(move || self.read(dice.below(self.names.len()), &mut buffer))
    }

    /// Sets back when the first `number` files were written.
    pub fn set_back(&self, number: usize, times: &Timestamps) {
        for at in 0..number {
            rustix::fs::utimensat(&*self.directory, self.name(at), times, AtFlags::empty()).unwrap();
        }
    }

    /// readdir, stat of each, unlink of what was written before `seconds`. How many went.
    pub fn sweep(&self, seconds: i64) -> usize {
        let fd = rustix::fs::openat(&*self.directory, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut removed = 0;
        let mut buffer = Vec::with_capacity(32 << 10);
        let mut entries = rustix::fs::RawDir::new(fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            if entry.file_name().to_bytes().len() != 64 {
                continue;
            }
            let stat = rustix::fs::statat(&*self.directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
            if stat.st_mtime < seconds {
                rustix::fs::unlinkat(&*self.directory, entry.file_name(), AtFlags::empty()).unwrap();
                removed += 1;
            }
        }
        removed
    }
}

fn name(key: &[u8; 32]) -> [u8; 65] {
    let mut name = [0; 65];
    for (at, byte) in key.iter().enumerate() {
        for (half, digit) in [byte >> 4, byte & 15].into_iter().enumerate() {
            name[2 * at + half] = b"0123456789abcdef"[usize::from(digit)];
        }
    }
    name
}

/// A payload opened and sealed anew, from one token to the next.
pub fn sealed(bytes: usize) -> Lane {
    use base64_simd::URL_SAFE_NO_PAD;
    use xaes_256_gcm::aead::{AeadInOut as _, KeyInit as _};
    const NONCE: usize = 24;
    const TAG: usize = 16;
    let cipher = xaes_256_gcm::Xaes256Gcm::new(&[7; 32].into());
    let seal = move |buffer: &mut Vec<u8>| {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).unwrap();
        buffer[..NONCE].copy_from_slice(&nonce);
        let tag = cipher.encrypt_inout_detached(&nonce.into(), b"", (&mut buffer[NONCE..]).into()).unwrap();
        buffer.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode_to_string(buffer)
    };
    let cipher = xaes_256_gcm::Xaes256Gcm::new(&[7; 32].into());
    let mut token = seal(&mut vec![7; NONCE + bytes]);
    cycles(move || {
        let mut buffer = URL_SAFE_NO_PAD.decode_to_vec(black_box(&token)).unwrap();
        let tag: [u8; TAG] = buffer[NONCE + bytes..].try_into().unwrap();
        let nonce: [u8; NONCE] = buffer[..NONCE].try_into().unwrap();
        buffer.truncate(NONCE + bytes);
        let text = &mut buffer[NONCE..];
        cipher.decrypt_inout_detached(&nonce.into(), b"", text.into(), &tag.into()).unwrap();
        token = seal(&mut buffer);
    })
}
