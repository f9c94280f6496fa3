//! A real Redis without persistence, on a socket in a folder of its own.
#![expect(clippy::disallowed_methods, reason = "a server starts in real time")]

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread;
use std::time::{Duration, Instant};

use crate::resp::Connection;

const START: Duration = Duration::from_secs(15);
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    pub(crate) fn start() -> Self {
        let binary = find();
        let folder = env::temp_dir().join(format!("leeward-redis-model-{}", id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let log = File::create(folder.join("log")).expect("a log");
        let child = Command::new(&binary)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
            .arg(folder.join("socket"))
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
        let mut server = Self { child, folder };
        let deadline = Instant::now() + START;
        while Connection::open(&server.socket()).is_err() {
            let ended = server.child.try_wait().expect("the server's state");
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
                panic!("{} does not serve:\n{log}", binary.display());
            }
            thread::sleep(Duration::from_millis(2));
        }
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed has its own message; these would only hide it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn find() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file());
    if let Some(chosen) = env::var_os("LEEWARD_REDIS_SERVER").filter(|chosen| !chosen.is_empty()) {
        let place = Path::new(&chosen);
        let named = if place.components().count() > 1 { None } else { chosen.to_str().and_then(on_path) };
        let found = named.unwrap_or_else(|| place.to_path_buf());
        assert!(found.is_file(), "LEEWARD_REDIS_SERVER is {}, which is not a file", found.display());
        return found;
    }
    let bundled = Path::new(WORKSPACE).join(".leeward/redis/redis-server");
    ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(on_path)
        .or_else(|| bundled.is_file().then_some(bundled))
        .expect(
            "no Redis to compare with: set LEEWARD_REDIS_SERVER to the path of a redis-server (of 7.0, which the model follows), or have \
             redis-server or valkey-server on the PATH, or let scripts/setup unpack one into .leeward/redis/redis-server",
        )
}
