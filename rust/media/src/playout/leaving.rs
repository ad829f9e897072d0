//! What leaves when: the first frame of a spurt, the next one, silence.

use super::*;

impl Playout {
    /// When [`Playout::poll`] has something; a time in the past means now.
    pub fn next_timeout(&self) -> Option<Time> {
        if !self.started {
            return None;
        }
        if self.open
            && self
                .marks
                .front()
                .is_some_and(|&(position, _)| position <= self.taken)
        {
            return Some(self.nominal);
        }
        let tick = self.tick();
        Some(match self.phase {
            Phase::Passing { until } => self.passing_ends_at().unwrap_or(until),
            Phase::Silence => self.spurt_from().map_or(tick, |from| from.min(tick)),
            Phase::Speech if self.queue.len() >= self.frame => tick,
            Phase::Speech => self.patient_until().max(tick),
        })
    }

    /// When the next frame leaves if it is there, for a source that goes by this clock.
    pub(crate) fn next_tick(&self) -> Time {
        self.tick()
    }

    /// When the next frame leaves if it is there.
    pub(super) fn tick(&self) -> Time {
        let even = self.nominal + self.last_time;
        match self.phase {
            Phase::Silence => even + REPAY.min(self.ahead()),
            Phase::Speech if self.stretch > Duration::ZERO => even + STRETCH.min(self.stretch),
            Phase::Speech => even.saturating_sub(SHRINK.min(self.shrink)),
            Phase::Passing { .. } => even,
        }
    }

    /// How far timestamps are ahead of the clock.
    fn ahead(&self) -> Duration {
        duration_of((-self.lag).max(0) as u64, LINE_RATE)
    }

    /// Writes the frame that is due at `now`, if one is. To be asked until `None`.
    pub fn poll(&mut self, now: Time, out: &mut [u8; MAX_FRAME]) -> Option<Frame> {
        if !self.started {
            return None;
        }
        let tick = self.tick();
        match self.phase {
            Phase::Passing { .. } => None,
            Phase::Silence => {
                if self.spurt_from().is_some_and(|from| from <= now) {
                    return Some(self.begin_spurt(now, out));
                }
                if now < tick {
                    return None;
                }
                if now - tick > self.frame_time * MAX_CATCH_UP {
                    let step = self.advance(now);
                    return Some(self.silence(step, now - tick, out));
                }
                self.slide(tick);
                Some(self.silence(self.last_ticks, now - tick, out))
            }
            Phase::Speech if now < tick => None,
            Phase::Speech if self.queue.len() >= self.frame => {
                self.win_back();
                let stood_still = now - tick > self.frame_time * MAX_CATCH_UP;
                let leaves = if stood_still {
                    now
                } else {
                    tick.max(self.ready_at)
                };
                let even = self.nominal + self.last_time;
                self.stretch = self.stretch.saturating_sub(leaves - even);
                self.shrink = self.shrink.saturating_sub(even - leaves);
                self.delayed += leaves - tick;
                self.slide(leaves);
                Some(self.sound(false, self.last_ticks, now - leaves, out))
            }
            Phase::Speech => {
                let until = self.patient_until();
                if now < until {
                    return None;
                }
                if now - until > OVERSLEPT && self.grace.is_none() && self.is_live_at(now) {
                    self.grace = Some(now + self.arrivals.cushion().max(MIN_CUSHION));
                    return None;
                }
                self.slide(now);
                self.dry_at = (!self.draining).then_some(tick);
                if !self.queue.is_empty() {
                    let frame = self.sound(false, self.last_ticks, Duration::ZERO, out);
                    self.phase = Phase::Silence;
                    return Some(frame);
                }
                self.break_off();
                Some(self.silence(self.last_ticks, Duration::ZERO, out))
            }
        }
    }

    /// From when on a spurt may begin with what waits.
    fn spurt_from(&self) -> Option<Time> {
        if !self.open || self.queue.is_empty() {
            return None;
        }
        let from = if self.has_cushion() || self.draining {
            self.nominal
        } else if self.queue.len() >= self.frame {
            // What comes late has been waited for already.
            let resumes = self
                .dry_at
                .is_some_and(|dry_at| self.ready_at - dry_at <= UNDERRUN);
            self.ready_at
                + if resumes {
                    Duration::ZERO
                } else {
                    self.arrivals.hold()
                }
        } else {
            self.last_push + FLUSH
        };
        let room = MAX_AHEAD.saturating_sub(self.ahead());
        Some(from.max(self.nominal + self.last_time.saturating_sub(room)))
    }

    /// Whether more than a frame and the cushion waits: an agent that sends ahead needs none.
    fn has_cushion(&self) -> bool {
        self.queue.len() >= self.frame + self.samples_lasting(self.arrivals.hold())
    }

    /// Whether more is to be expected: the agent has been sending just now.
    fn is_live_at(&self, now: Time) -> bool {
        !self.draining && now - self.last_push <= LIVE
    }

    /// Until when the next frame is waited for before silence takes its place.
    fn patient_until(&self) -> Time {
        let tick = self.nominal + self.last_time;
        if !self.is_live_at(tick) {
            return self.tick();
        }
        // A longer packet time may have been agreed on meanwhile.
        self.grace
            .map_or(tick + ELASTIC, |grace| grace.max(self.tick()))
    }

    fn begin_spurt(&mut self, now: Time, out: &mut [u8; MAX_FRAME]) -> Frame {
        let dry_for = self
            .dry_at
            .take()
            .map(|dry_at| now - dry_at)
            .filter(|&dry_for| dry_for <= UNDERRUN);
        if let Some(dry_for) = dry_for {
            self.counts.underruns += 1;
            self.delayed += dry_for;
        } else {
            self.delayed = Duration::ZERO;
        }
        self.stretch = Duration::ZERO;
        self.shrink = Duration::ZERO;
        self.in_hand = Duration::MAX;
        self.in_hand_since = now;
        self.phase = Phase::Speech;
        self.spurt_played = self.played;
        self.trim = Trim::NEW;
        self.drift = Drift::NEW;
        // Timestamps tell the time that passed, but never overlap.
        let passed = self.lag + i64::from(self.advance(now));
        let step = passed.max(i64::from(self.last_ticks));
        self.lag = passed - step;
        self.sound(true, step as u32, Duration::ZERO, out)
    }

    /// Moves the clock to `to` in whole timestamp units and returns how many.
    pub(super) fn advance(&mut self, to: Time) -> u32 {
        let rate = LINE_RATE;
        let step = samples_in(to - self.nominal, rate);
        self.nominal += duration_of(step, rate);
        step as u32
    }

    /// The next frame leaves at `at`, a frame's time after the last, more or less: the clock moves there, timestamps by a frame.
    fn slide(&mut self, at: Time) {
        let rate = LINE_RATE;
        let even = self.nominal + self.last_time;
        let (late, early) = (samples_in(at - even, rate), samples_in(even - at, rate));
        self.lag += late as i64 - early as i64;
        self.nominal = (even + duration_of(late, rate)).saturating_sub(duration_of(early, rate));
    }

    /// The sound ends here, whether or not it has come to its end.
    pub(super) fn break_off(&mut self) {
        if self.phase != Phase::Speech {
            return;
        }
        self.phase = Phase::Silence;
        let format = self.format();
        let mut next = [0; 2 * fade::MAX_SAMPLES];
        let len = self.queue.peek(Fade::samples(format), &mut next);
        self.duck.apply_to_next(format, &mut next[..len]);
        if !self.fade.with_next(format, &next[..len]) {
            let last = &self.last_sound[..self.last_sound_len];
            self.fade.with_last(format, last);
        }
    }

    fn silence(&mut self, step: u32, late: Duration, out: &mut [u8; MAX_FRAME]) -> Frame {
        let len = self.queue.bytes_of(self.frame);
        let format = self.format();
        out[..len].fill(format.encoding.silence());
        self.fade.write(format, &mut out[..len]);
        self.frame_left();
        Frame {
            kind: FrameKind::Silence,
            marker: false,
            step,
            ticks: self.frame_ticks,
            len,
            late,
        }
    }

    fn sound(
        &mut self,
        marker: bool,
        step: u32,
        late: Duration,
        out: &mut [u8; MAX_FRAME],
    ) -> Frame {
        let taken = self.queue.take(self.frame, out);
        let (end, len) = (self.queue.bytes_of(taken), self.queue.bytes_of(self.frame));
        let format = self.format();
        self.duck.apply(format, &mut out[..end]);
        if end < len {
            out[end..len].fill(format.encoding.silence());
            self.fade.with_last(format, &out[..end]);
            self.fade.write(format, &mut out[end..len]);
        }
        if self.queue.len() < self.frame {
            let from = end.saturating_sub(self.last_sound.len());
            self.last_sound_len = end - from;
            self.last_sound[..end - from].copy_from_slice(&out[from..end]);
        }
        self.taken += self.units(taken);
        self.played += self.units(taken);
        self.sound_ends = self.nominal + self.frame_time;
        self.grace = None;
        self.frame_left();
        Frame {
            kind: FrameKind::Audio,
            marker,
            step,
            ticks: self.frame_ticks,
            len,
            late,
        }
    }
}
