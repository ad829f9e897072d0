//! offhook's load tool: places calls with real paced RTP against any SIP endpoint, plays the agent behind the gateway,
//! and measures exactly what comes back.

mod agent;
mod calls;
mod codec;
mod endpoint;
mod floor;
mod g711;
mod histogram;
mod mark;
mod media;
mod pace;
mod process;
mod report;
mod rtp;
mod sdp;
mod signalling;
mod sip;
mod srtp;
mod sys;
mod tls;
mod worker;

use clap::{Parser, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "offhook-bench",
    about = "Load and measurement for SIP gateways",
    version
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Holds calls with paced audio and judges what comes back, frame by frame
    Calls {
        #[command(flatten)]
        options: calls::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Sets calls up and tears them down at a rate
    Signalling {
        #[command(flatten)]
        options: signalling::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Plays the agent behind the gateway, well-behaved or not, until killed
    Agent {
        #[command(flatten)]
        options: agent::Options,
    },
    /// Plays a worker that dials the gateway and echoes, until the gateway ends
    Worker {
        #[command(flatten)]
        options: worker::Options,
    },
    /// Makes a certificate and its key, for the agent, the gateway and those that trust them
    Certificate {
        #[command(flatten)]
        options: tls::Options,
    },
    /// Answers every call and echoes it, or carries it to an agent, at the least possible cost, until killed
    Floor {
        #[command(flatten)]
        options: floor::Options,
    },
}

#[derive(clap::Args)]
struct Output {
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 if anything was lost, repeated, mixed up, late or left open
    #[arg(long)]
    strict: bool,
}

impl Output {
    fn show(&self, report: &Value) -> ExitCode {
        if self.json {
            println!("{report:#}")
        } else {
            report::print(report)
        }
        let flawless = report["violations"].as_array().is_none_or(Vec::is_empty);
        if self.strict && !flawless {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn main() -> ExitCode {
    let result = match &Arguments::parse().command {
        Command::Calls { options, output } => {
            calls::run(options).map(|report| output.show(&report))
        }
        Command::Signalling { options, output } => {
            signalling::run(options).map(|report| output.show(&report))
        }
        Command::Agent { options } => agent::run(options).map(|()| ExitCode::SUCCESS),
        Command::Worker { options } => worker::run(options).map(|()| ExitCode::SUCCESS),
        Command::Certificate { options } => {
            tls::write_certificate(options).map(|()| ExitCode::SUCCESS)
        }
        Command::Floor { options } => floor::run(options).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("offhook-bench: {error}");
        ExitCode::from(1)
    })
}
