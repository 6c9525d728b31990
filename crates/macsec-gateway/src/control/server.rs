//! The answering side of the control socket.
//!
//! Threads of its own read the requests, so that a client that is slow, stuck or hostile holds up
//! nobody but itself. The answers are the main thread's.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use macsec_io::peer::{self, PeerCredentials};
use zeroize::Zeroizing;

use super::{MAX_REQUEST, Reply, Request};
use crate::mailbox::Address;

/// Clients at a time; more are turned away.
const MAX_CLIENTS: usize = 8;
/// How long a client may take to ask or to read.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the main thread may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// A request, who makes it, and where the reply goes.
pub(crate) type Question = (Request, PeerCredentials, Answering);

/// Takes the reply to one request.
pub(crate) struct Answering(SyncSender<Reply>);

impl Answering {
    pub(crate) fn answer(self, reply: Reply) {
        // Whoever asked may have gone.
        let _ = self.0.send(reply);
    }
}

/// The socket. It is removed when this is dropped.
pub(crate) struct Server {
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, and sends what is asked to `questions`.
    ///
    /// # Errors
    /// `AddrInUse` if another process listens there; else what the system says.
    pub(crate) fn start(path: &Path, questions: Address<Question>) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        // The umask should have done this; it has not if this runs in somebody else's process.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&listener, &questions))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A socket that nobody listens at was left by a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists, and is no socket"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another gateway listens here: give each its own control_socket",
            )),
            Err(_) => fs::remove_file(path),
        },
    }
}

fn serve(listener: &UnixListener, questions: &Address<Question>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptors left, say: not to be asked again at once.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if clients.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
            clients.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (questions, counted) = (questions.clone(), Arc::clone(&clients));
        let client = move || {
            let _ = serve_client(&stream, &questions);
            counted.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().name("control-client".to_owned()).spawn(client).is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve_client(mut stream: &UnixStream, questions: &Address<Question>) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let client = peer::credentials(stream)?;
    let line = read_request(stream)?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(request, client, questions),
        Err(error) => Reply::Refused(vec![format!("no such request: {error}")]),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// There may be a key in it: nothing is left of it, nor of a buffer on the way.
fn read_request(stream: &UnixStream) -> io::Result<Zeroizing<String>> {
    let mut octets = Zeroizing::new([0; MAX_REQUEST]);
    let mut len = 0;
    while len < MAX_REQUEST && !octets[..len].contains(&b'\n') {
        match (&mut &*stream).read(&mut octets[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = str::from_utf8(&octets[..len]);
    text.map(|text| Zeroizing::new(text.to_owned())).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn answer(request: Request, client: PeerCredentials, questions: &Address<Question>) -> Reply {
    let (answering, reply): (_, Receiver<Reply>) = sync_channel(1);
    let asked = questions.send((request, client, Answering(answering)));
    let reply = reply.recv_timeout(ANSWER_TIMEOUT).ok().filter(|_| asked);
    reply.unwrap_or(Reply::NoAnswer)
}
