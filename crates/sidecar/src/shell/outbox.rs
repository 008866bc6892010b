//! Frames that wait for the socket.

use std::collections::VecDeque;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use handbell_protocol::frame::ServerFrame;

/// What waits to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Queued>,
    bytes: usize,
}

#[derive(Debug)]
struct Queued {
    message: Message,
    /// The delivery that the frame hands out, if it does.
    delivery: Option<Box<str>>,
}

impl Outbox {
    pub(super) fn frame(&mut self, frame: &ServerFrame) {
        let delivery = match frame {
            ServerFrame::Deliver(deliver) => Some(deliver.delivery.as_str().into()),
            _ => None,
        };
        let text: Utf8Bytes = frame.to_text().into();
        self.bytes += text.len();
        self.queue.push_back(Queued { message: Message::Text(text), delivery });
    }

    /// A message as it is.
    #[cfg(feature = "echo")]
    pub(super) fn message(&mut self, message: Message) {
        if let Message::Text(text) = &message {
            self.bytes += text.len();
        }
        self.queue.push_back(Queued { message, delivery: None });
    }

    pub(super) fn ping(&mut self) {
        self.queue.push_back(Queued { message: Message::Ping(Default::default()), delivery: None });
    }

    pub(super) fn close(&mut self, code: u16, reason: &str) {
        // A close frame's reason is at most 123 bytes.
        let end =
            reason.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= 123).last().unwrap_or(0);
        let frame = CloseFrame { code, reason: reason[..end].to_owned().into() };
        self.queue.push_back(Queued { message: Message::Close(Some(frame)), delivery: None });
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let queued = self.queue.pop_front()?;
        if let Message::Text(text) = &queued.message {
            self.bytes -= text.len();
        }
        Some(queued.message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything: the socket is lost.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Takes out the frames that hand out deliveries, and names those.
    pub(super) fn take_deliveries(&mut self) -> Vec<Box<str>> {
        let mut taken = Vec::new();
        let mut bytes = self.bytes;
        self.queue.retain_mut(|queued| match queued.delivery.take() {
            Some(delivery) => {
                taken.push(delivery);
                if let Message::Text(text) = &queued.message {
                    bytes -= text.len();
                }
                false
            }
            None => true,
        });
        self.bytes = bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_what_waits_and_a_long_reason_is_cut_at_a_character() {
        let mut outbox = Outbox::default();
        outbox.frame(&ServerFrame::Subscribed { sub: "s".into() });
        assert!(outbox.bytes() > 0);
        outbox.close(1008, &"ä".repeat(100));
        outbox.pop();
        assert_eq!(outbox.bytes(), 0);
        let Some(Message::Close(Some(frame))) = outbox.pop() else { panic!("no close") };
        assert_eq!(frame.reason.len(), 122);
    }
}
