//! What is told of who has answered.

/// Who has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Somebody who waits for an answer.
    Human,
    /// A recording: voicemail, an answering machine, an announcement.
    Machine,
    /// A fax or a modem.
    Fax,
    /// The network, by special information tones.
    Sit,
    /// The network, by a busy tone.
    BusyTone,
    /// Nobody so far: it rings on, or there is a dial tone.
    NoOne,
    /// Nobody speaks.
    Silence,
    /// Music: somebody or something has us wait.
    Music,
    /// There is sound, and nothing tells what it is.
    Unknown,
}

impl Who {
    /// Its name in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Who::Human => "human",
            Who::Machine => "machine",
            Who::Fax => "fax",
            Who::Sit => "sit",
            Who::BusyTone => "busy_tone",
            Who::NoOne => "no_one",
            Who::Silence => "silence",
            Who::Music => "music",
            Who::Unknown => "unknown",
        }
    }

    /// Whether it is an answer; a person who was told is corrected where that was too early.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Who::NoOne | Who::Silence | Who::Music | Who::Unknown)
    }
}

/// Which special information tones (Q.35; for North America GR-1162).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sit {
    /// The number is not in service, or has changed.
    Intercept,
    /// There is no such number.
    Vacant,
    /// The call could not be completed as it was dialled.
    Reorder,
    /// All circuits are busy.
    NoCircuit,
    /// No tones that say more than that an announcement follows.
    General,
}

/// What has told who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// A few words, then somebody waits.
    ShortThenSilence,
    /// Speech that goes on.
    LongSpeech,
    /// A beep.
    Beep,
    /// Special information tones.
    Information(Sit),
    /// The answering tone of a fax or modem, 2100 Hz.
    AnswerTone,
    /// The calling tone of a fax, 1100 Hz.
    CallingTone,
    /// A busy tone.
    Busy,
    /// A fast busy tone: congestion, reorder.
    Congestion,
    /// A ringing tone.
    Ringing,
    /// A dial tone.
    DialTone,
    /// Nobody speaks.
    Silence,
    /// Tones that stay and a level that hardly moves.
    Music,
    /// Sound that goes on without the rhythm of speech.
    Steady,
    /// Speech before the answer: an announcement.
    Announcement,
}

impl Why {
    /// Its name in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Why::ShortThenSilence => "short_then_silence",
            Why::LongSpeech => "long_speech",
            Why::Beep => "beep",
            Why::Information(Sit::Intercept) => "sit_intercept",
            Why::Information(Sit::Vacant) => "sit_vacant",
            Why::Information(Sit::Reorder) => "sit_reorder",
            Why::Information(Sit::NoCircuit) => "sit_no_circuit",
            Why::Information(Sit::General) => "sit",
            Why::AnswerTone => "fax_answer_tone",
            Why::CallingTone => "fax_calling_tone",
            Why::Busy => "busy_tone",
            Why::Congestion => "congestion_tone",
            Why::Ringing => "ringing_tone",
            Why::DialTone => "dial_tone",
            Why::Silence => "silence",
            Why::Music => "music",
            Why::Steady => "steady_sound",
            Why::Announcement => "announcement",
        }
    }

    pub(super) fn who(self) -> Who {
        match self {
            Why::ShortThenSilence => Who::Human,
            Why::LongSpeech | Why::Beep | Why::Announcement => Who::Machine,
            Why::Information(_) => Who::Sit,
            Why::AnswerTone | Why::CallingTone => Who::Fax,
            Why::Busy | Why::Congestion => Who::BusyTone,
            Why::Ringing | Why::DialTone => Who::NoOne,
            Why::Silence => Who::Silence,
            Why::Music => Who::Music,
            Why::Steady => Who::Unknown,
        }
    }
}

/// Why a machine is told after a person was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Correction {
    /// The person was told after a pause that was too short to be a wait, and it was none.
    Hasty,
    /// What was said was as short as a person's words, and a beep came behind it without another one.
    Beep,
}

impl Correction {
    /// Its name in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Correction::Hasty => "hasty",
            Correction::Beep => "beep",
        }
    }
}

/// What a verdict rests on. Times in ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// From the first word to the last, pauses included.
    pub speech_ms: u32,
    /// The pause since.
    pub pause_ms: u32,
    /// The tone in Hz, 0 where there is none, and the second one of two.
    pub hertz: u32,
    /// See `hertz`.
    pub second_hertz: u32,
    /// How long the tone was.
    pub tone_ms: u32,
    /// How many tones told it.
    pub tones: u32,
    /// Of a machine that was told as a person before, where nobody has answered as one since.
    pub corrects: Option<Correction>,
}

/// What is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Who it is, as far as is known by now. One that is not final may be followed by another.
    Verdict {
        /// Who.
        who: Who,
        /// What tells it.
        why: Why,
        /// In percent.
        confidence: u8,
        /// When it was told, in ms since the listening began.
        at_ms: u32,
        /// What it rests on.
        facts: Facts,
    },
    /// The machine takes a message now.
    GreetingOver {
        /// When, in ms since the listening began.
        at_ms: u32,
        /// The beep in Hz and its length in ms; `None` if it merely fell silent.
        beep: Option<(u32, u32)>,
    },
    /// Nothing more is told.
    Over,
}

/// What is listened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before the answer: tones, and announcements.
    Early,
    /// After it: all.
    Answered,
}

impl Stage {
    /// By its name in Python.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "early" => Some(Self::Early),
            "answered" => Some(Self::Answered),
            _ => None,
        }
    }
}
