//! Connections between agents and sidecars: in order, late, slow, lost.

use std::collections::VecDeque;

use handbell_protocol::frame::{ClientFrame, ServerFrame, Welcome};
use handbell_sidecar::session::Input;

use super::{
    Happening, World,
    book::{Heard, Note},
};

/// So many frames may wait for a slow reader before its own aren't read.
const OUTBOX: usize = 8;

/// A frame on its way to the sidecar.
pub(crate) struct Up {
    pub(crate) text: String,
    pub(crate) note: Note,
}

/// One connection.
pub(crate) struct Conn {
    pub(crate) client: usize,
    process: usize,
    sess: Option<usize>,
    /// Whether the sidecar takes it for open; whether the agent does.
    open: bool,
    pub(crate) client_open: bool,
    /// Nothing that is on its way arrives any more.
    cut: bool,
    slow: bool,
    outbox: VecDeque<ServerFrame>,
    unread: VecDeque<Up>,
    last_up: u64,
    last_down: u64,
}

impl World {
    // === made ===

    pub(crate) fn connect(&mut self, client: usize) {
        if self.clients[client].conn.is_some() {
            return;
        }
        let living: Vec<_> =
            (0..self.processes.len()).filter(|p| self.processes[*p].alive && !self.processes[*p].draining).collect();
        if living.is_empty() {
            return self.later(100, Happening::Connect(client));
        }
        let same = self.clients[client].process;
        let process = if living.contains(&same) && self.random.chance(70) { same } else { *self.random.pick(&living) };
        self.clients[client].process = process;
        let conn = self.conns.len();
        self.conns.push(Conn {
            client,
            process,
            sess: None,
            open: true,
            client_open: true,
            cut: false,
            slow: false,
            outbox: VecDeque::new(),
            unread: VecDeque::new(),
            last_up: 0,
            last_down: 0,
        });
        self.clients[client].conn = Some(conn);
        self.clients[client].welcomed = false;
        let after = self.wire();
        self.later(after, Happening::Hello(conn));
    }

    fn wire(&mut self) -> u64 {
        let (low, high) = self.settings.wire_latency;
        self.random.between(low, high)
    }

    /// Finds the session of a `hello`: the same, or one that goes on elsewhere.
    pub(crate) fn hello_arrives(&mut self, conn: usize) {
        let Conn { client, process, cut, open, .. } = self.conns[conn];
        let gone = !self.processes[process].alive || self.processes[process].draining;
        if cut || gone || !open {
            self.conns[conn].open = false;
            return self.later(5, Happening::ClientNotices(conn));
        }
        let resume = self.clients[client].resume;
        let here = |sess: &usize| self.sessions[*sess].process == process && !self.sessions[*sess].over;
        match resume.filter(here) {
            Some(sess) => self.same_session(conn, sess),
            None => self.other_session(conn, resume),
        }
    }

    fn same_session(&mut self, conn: usize, sess: usize) {
        if let Some(old) = self.sessions[sess].conn {
            self.conns[old].open = false;
            self.later(5, Happening::ClientNotices(old));
            self.sessions[sess].conn = None;
            self.input(sess, Input::Detached, &Heard::Detached);
        }
        if self.sessions[sess].over {
            self.conns[conn].open = false;
            return self.later(5, Happening::ClientNotices(conn));
        }
        self.counts.resumed_here += 1;
        self.conns[conn].sess = Some(sess);
        self.sessions[sess].conn = Some(conn);
        self.welcome(conn, sess, true);
        self.input(sess, Input::Attached, &Heard::Attached);
    }

    fn other_session(&mut self, conn: usize, resume: Option<usize>) {
        let Conn { client, process, .. } = self.conns[conn];
        if let Some(old) = resume {
            self.counts.resumed_elsewhere += 1;
            let after = self.random.between(5, 400);
            self.later(after, Happening::TakenOver(old));
        }
        let sess = self.sessions.len();
        self.conns[conn].sess = Some(sess);
        self.welcome(conn, sess, false);
        self.new_session(client, process, conn, resume.is_some());
    }

    fn welcome(&mut self, conn: usize, sess: usize, resumed: bool) {
        self.down(
            conn,
            ServerFrame::Welcome(Welcome {
                session: sess.to_string(),
                producer: String::new(),
                resume: sess.to_string(),
                resumed,
                heartbeat_ms: 0,
                max_frame: 0,
                max_event: 0,
                publish_window: self.settings.window,
            }),
        );
    }

    // === to the sidecar ===

    pub(crate) fn up(&mut self, client: usize, text: String, note: Note) {
        let Some(conn) = self.clients[client].conn else { return };
        let at = (self.now + self.wire()).max(self.conns[conn].last_up);
        self.conns[conn].last_up = at;
        self.at(at, Happening::Up(conn, Up { text, note }));
    }

    pub(crate) fn up_arrives(&mut self, conn: usize, up: Up) {
        let this = &mut self.conns[conn];
        if this.cut || !this.open {
            return;
        }
        if this.outbox.len() > OUTBOX || !this.unread.is_empty() {
            self.counts.not_read += 1;
            return this.unread.push_back(up);
        }
        self.read(conn, up);
    }

    fn read(&mut self, conn: usize, up: Up) {
        let Some(sess) = self.conns[conn].sess.filter(|sess| self.sessions[*sess].conn == Some(conn)) else { return };
        let frame = ClientFrame::parse(&up.text).map_err(Box::new);
        self.input(sess, Input::Frame(frame), &Heard::Frame(up.note));
    }

    // === to the agent ===

    pub(crate) fn send(&mut self, sess: usize, frame: ServerFrame) {
        if let Some(conn) = self.sessions[sess].conn {
            self.conns[conn].outbox.push_back(frame);
        }
    }

    /// Writes what waits, if the agent reads.
    pub(crate) fn flush(&mut self, sess: usize) {
        let Some(conn) = self.sessions[sess].conn else { return };
        if !self.conns[conn].slow {
            for frame in std::mem::take(&mut self.conns[conn].outbox) {
                self.down(conn, frame);
            }
        }
    }

    fn down(&mut self, conn: usize, frame: ServerFrame) {
        let at = (self.now + self.wire()).max(self.conns[conn].last_down);
        self.conns[conn].last_down = at;
        self.at(at, Happening::Down(conn, Box::new(frame)));
    }

    pub(crate) fn down_arrives(&mut self, conn: usize, frame: ServerFrame) {
        let this = &self.conns[conn];
        if this.client_open && !this.cut {
            self.told(this.client, frame);
        }
    }

    /// The deliveries that wait to be written.
    pub(crate) fn unwritten(&mut self, sess: usize) -> Vec<String> {
        let Some(conn) = self.sessions[sess].conn else { return Vec::new() };
        let mut taken = Vec::new();
        self.conns[conn].outbox.retain(|frame| match frame {
            ServerFrame::Deliver(deliver) => {
                taken.push(deliver.delivery.clone());
                false
            }
            _ => true,
        });
        taken
    }

    // === slow ===

    pub(crate) fn read_slowly(&mut self, client: usize, millis: u64) {
        let Some(conn) = self.clients[client].conn else { return };
        self.conns[conn].slow = true;
        self.later(millis, if millis > 1_500 { Happening::TooSlow(conn) } else { Happening::ReadsAgain(conn) });
    }

    pub(crate) fn reads_again(&mut self, conn: usize) {
        self.conns[conn].slow = false;
        let Some(sess) = self.conns[conn].sess else { return };
        if self.sessions[sess].conn == Some(conn) {
            self.flush(sess);
        }
        while let Some(up) = self.conns[conn].unread.pop_front() {
            self.read(conn, up);
        }
    }

    /// What waits is dropped, the socket is closed.
    pub(crate) fn too_slow(&mut self, conn: usize) {
        self.conns[conn].outbox.clear();
        self.counts.too_slow += 1;
        self.sidecar_notices(conn);
        self.later(5, Happening::ClientNotices(conn));
    }

    // === lost ===

    /// A connection breaks; each end notices in its own time.
    pub(crate) fn lose(&mut self, client: usize) {
        let Some(conn) = self.clients[client].conn else { return };
        self.conns[conn].cut = self.random.chance(60);
        let (first, second) = (self.random.between(0, 40), self.random.between(0, 2_500));
        let (sidecar, agent) = if self.random.chance(60) { (first, second.min(300)) } else { (second, first) };
        self.later(sidecar, Happening::SidecarNotices(conn));
        self.later(agent, Happening::ClientNotices(conn));
    }

    pub(crate) fn sidecar_notices(&mut self, conn: usize) {
        self.conns[conn].open = false;
        let Some(sess) = self.conns[conn].sess else { return };
        if self.sessions[sess].conn == Some(conn) {
            self.sessions[sess].conn = None;
            self.input(sess, Input::Detached, &Heard::Detached);
        }
    }

    pub(crate) fn client_notices(&mut self, conn: usize) {
        let client = self.conns[conn].client;
        if !self.conns[conn].client_open {
            return;
        }
        self.conns[conn].client_open = false;
        self.clients[client].conn = None;
        self.clients[client].welcomed = false;
        let wait = match self.random.below(10) {
            0 if !self.calm => self.random.between(3_000, 4_500),
            1..=3 => self.random.between(300, 2_000),
            _ => self.random.between(5, 200),
        };
        self.later(wait, Happening::Connect(client));
    }

    /// The session closes its socket, or is gone.
    pub(crate) fn close(&mut self, sess: usize) {
        self.flush(sess);
        if let Some(conn) = self.sessions[sess].conn.take() {
            self.conns[conn].open = false;
            self.conns[conn].unread.clear();
            let at = self.conns[conn].last_down.max(self.now) + 5;
            self.at(at, Happening::ClientNotices(conn));
        }
    }
}
