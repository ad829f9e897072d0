//! libopus, the codec of those who made Opus, loaded when a test or a benchmark begins: nothing of it is part of the gateway.
#![allow(
    unsafe_code,
    dead_code,
    reason = "a C library; each user needs some of it"
)]
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

const NOW: c_int = 2;
const MAX_BYTES: usize = 4_000;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Create = unsafe extern "C" fn(i32, c_int, c_int, *mut c_int) -> *mut c_void;
type CreateDecoder = unsafe extern "C" fn(i32, c_int, *mut c_int) -> *mut c_void;
type Control = unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int;
type Encode = unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut u8, i32) -> i32;
type Decode = unsafe extern "C" fn(*mut c_void, *const u8, i32, *mut i16, c_int, c_int) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);

/// The address of one of its functions.
fn function(name: &CStr) -> *mut c_void {
    // SAFETY: the names are C strings, and the library is never unloaded.
    let found = unsafe {
        let library = dlopen(c"libopus.so.0".as_ptr(), NOW);
        assert!(
            !library.is_null(),
            "libopus.so.0 is missing: sudo apt-get install libopus0"
        );
        dlsym(library, name.as_ptr())
    };
    assert!(!found.is_null(), "libopus has no {name:?}");
    found
}

macro_rules! libopus {
    ($name:literal as $kind:ty) => {
        // SAFETY: the type is that of opus.h.
        unsafe { std::mem::transmute::<*mut c_void, $kind>(function($name)) }
    };
}

/// What an encoder is for (`OPUS_APPLICATION_…`).
#[derive(Clone, Copy, Debug)]
pub enum Application {
    Voip = 2_048,
    Audio = 2_049,
}

/// A setting of an encoder (`OPUS_SET_…_REQUEST`).
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    Bitrate = 4_002,
    Vbr = 4_006,
    Bandwidth = 4_008,
    Complexity = 4_010,
    Fec = 4_012,
    Loss = 4_014,
    Dtx = 4_016,
    Mode = 11_002,
}

/// Its encoder.
pub struct Encoder {
    state: *mut c_void,
    channels: usize,
    control: Control,
    encode: Encode,
    destroy: Destroy,
}

impl Encoder {
    pub fn new(rate: u32, channels: usize, application: Application) -> Self {
        let create = libopus!(c"opus_encoder_create" as Create);
        // SAFETY: no errors are asked for but by the pointer that comes back.
        let state = unsafe {
            create(
                rate as i32,
                channels as c_int,
                application as c_int,
                ptr::null_mut(),
            )
        };
        assert!(!state.is_null(), "an encoder of {rate} Hz");
        Encoder {
            state,
            channels,
            control: libopus!(c"opus_encoder_ctl" as Control),
            encode: libopus!(c"opus_encode" as Encode),
            destroy: libopus!(c"opus_encoder_destroy" as Destroy),
        }
    }

    pub fn set(&mut self, setting: Setting, value: i32) {
        // SAFETY: each of these settings takes one 32-bit number.
        let said = unsafe { (self.control)(self.state, setting as c_int, value) };
        assert_eq!(said, 0, "{setting:?} {value}");
    }

    /// A packet of these samples, which are interleaved if there are two channels.
    pub fn encode(&mut self, pcm: &[i16]) -> Vec<u8> {
        let mut packet = vec![0; MAX_BYTES];
        let samples = (pcm.len() / self.channels) as c_int;
        // SAFETY: both buffers are as long as it is told.
        let bytes = unsafe {
            (self.encode)(
                self.state,
                pcm.as_ptr(),
                samples,
                packet.as_mut_ptr(),
                MAX_BYTES as i32,
            )
        };
        assert!(bytes > 0, "{samples} samples: {bytes}");
        packet.truncate(bytes as usize);
        packet
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: it was made by the same library and is not used again.
        unsafe { (self.destroy)(self.state) }
    }
}

/// Its decoder: mono at 16 kHz, as ours.
pub struct Decoder {
    state: *mut c_void,
    decode: Decode,
    destroy: Destroy,
}

impl Default for Decoder {
    fn default() -> Self {
        let create = libopus!(c"opus_decoder_create" as CreateDecoder);
        // SAFETY: no errors are asked for but by the pointer that comes back.
        let state = unsafe { create(16_000, 1, ptr::null_mut()) };
        assert!(!state.is_null(), "a decoder");
        Decoder {
            state,
            decode: libopus!(c"opus_decode" as Decode),
            destroy: libopus!(c"opus_decoder_destroy" as Destroy),
        }
    }
}

impl Decoder {
    fn samples(&mut self, packet: &[u8], out: &mut [i16], copy: bool) -> usize {
        let data = if packet.is_empty() {
            ptr::null()
        } else {
            packet.as_ptr()
        };
        // SAFETY: both buffers are as long as it is told; nothing at all stands for a loss.
        let samples = unsafe {
            (self.decode)(
                self.state,
                data,
                packet.len() as i32,
                out.as_mut_ptr(),
                out.len() as c_int,
                c_int::from(copy),
            )
        };
        assert!(samples > 0, "{} bytes: {samples}", packet.len());
        samples as usize
    }

    /// The samples of a packet, which `out` has room for.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> usize {
        self.samples(packet, out, false)
    }

    /// Fills `out` with what may have been lost.
    pub fn conceal(&mut self, out: &mut [i16]) {
        self.samples(&[], out, false);
    }

    /// Fills `out` with what was lost before the packet `next`, from the copy in it if there is one.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) {
        self.samples(next, out, true);
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it was made by the same library and is not used again.
        unsafe { (self.destroy)(self.state) }
    }
}
