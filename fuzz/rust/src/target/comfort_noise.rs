//! Comfort noise by any description.
use crate::random::Random;
use offhook_media::comfort_noise::{ComfortNoise, LOUDEST};

/// The noise never peaks above three times the loudest that may be described, whatever the spectrum, and a bad description changes nothing.
pub fn run(random: &mut Random) {
    let mut noise = ComfortNoise::new();
    for _ in 0..20 {
        let length = *random.pick(&[0, 1, 2, 5, 12, 13, 200, 1_400]);
        let mut payload = random.bytes(length);
        if random.once_in(2)
            && let Some(level) = payload.first_mut()
        {
            *level &= 0x7f;
        }
        let before = noise.clone();
        let is_good = payload.first().is_some_and(|level| *level <= 127);
        assert_eq!(noise.describe(&payload), is_good);
        let mut made = vec![0; *random.pick(&[0, 1, 80, 160, 320, 8_000])];
        if !is_good {
            let mut unchanged = made.clone();
            before.clone().make(&mut unchanged);
            noise.clone().make(&mut made);
            assert_eq!(made, unchanged, "a bad description has changed something");
        }
        noise.make(&mut made);
        let loudest = 3.0 * 8_031.0 * 4.0 * 10_f64.powf(-f64::from(LOUDEST) / 20.0);
        let highest = made.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(
            f64::from(highest.unwrap_or(0)) <= loudest,
            "{highest:?} of {loudest:.0}"
        );
    }
}
