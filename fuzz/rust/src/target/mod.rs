//! What is fuzzed. A target makes its input from the random numbers and panics where something is wrong.
mod claim;
mod codec;
mod comfort_noise;
mod convert;
mod dialect;
mod intake;
mod jitter;
mod json;
mod leg;
mod mux;
mod packet;
mod playout;
mod srtp;

mod telephone_event;
mod tones;
mod upgrade;
mod uplink;
mod vad;
mod websocket;
mod wire;

use crate::random::Random;

/// One thing that is fuzzed.
pub struct Target {
    /// As the command line names it.
    pub name: &'static str,
    /// Runs one case; panics on a finding.
    pub run: fn(&mut Random),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "rtp",
        run: packet::rtp,
    },
    Target {
        name: "rtcp",
        run: packet::rtcp,
    },
    Target {
        name: "codec",
        run: codec::run,
    },
    Target {
        name: "opus",
        run: codec::opus,
    },
    Target {
        name: "srtp",
        run: srtp::run,
    },
    Target {
        name: "comfort-noise",
        run: comfort_noise::run,
    },
    Target {
        name: "telephone-event",
        run: telephone_event::run,
    },
    Target {
        name: "tones",
        run: tones::run,
    },
    Target {
        name: "websocket",
        run: websocket::run,
    },
    Target {
        name: "upgrade",
        run: upgrade::answer,
    },
    Target {
        name: "url",
        run: upgrade::url,
    },
    Target {
        name: "json",
        run: json::run,
    },
    Target {
        name: "dialect",
        run: dialect::run,
    },
    Target {
        name: "wire",
        run: wire::run,
    },
    Target {
        name: "mux",
        run: mux::run,
    },
    Target {
        name: "claim",
        run: claim::run,
    },
    Target {
        name: "intake",
        run: intake::run,
    },
    Target {
        name: "uplink",
        run: uplink::run,
    },
    Target {
        name: "vad",
        run: vad::run,
    },
    Target {
        name: "jitter",
        run: jitter::run,
    },
    Target {
        name: "playout",
        run: playout::run,
    },
    Target {
        name: "convert",
        run: convert::run,
    },
    Target {
        name: "leg",
        run: leg::run,
    },
];
