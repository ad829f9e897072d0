use super::*;

fn frames(alphabet: &Alphabet, call: u16, count: u16) -> Vec<u8> {
    let mut out = vec![0; usize::from(count) * FRAME];
    for (frame, samples) in out.chunks_exact_mut(FRAME).enumerate() {
        alphabet.write(
            Mark {
                call,
                frame: frame as u16,
            },
            samples,
        );
    }
    out
}

fn read_all(alphabet: &Alphabet, stream: &[u8]) -> Vec<Heard> {
    let mut reader = MarkReader::default();
    let mut heard = Vec::new();
    for (index, payload) in stream.chunks(FRAME).enumerate() {
        let at = 1_000_000_000 + index as u64 * 20_000_000;
        reader.receive(alphabet, payload, at, (index * FRAME) as u32, |mark| {
            heard.push(mark)
        });
    }
    heard
}

#[test]
fn two_frames_in_a_row_follow_each_other_over_the_wrap_too() {
    let alphabet = Alphabet::new(Law::Pcmu);
    let heard = read_all(&alphabet, &frames(&alphabet, 7, 4096));
    assert!(heard[1].follows(&heard[0]) && heard[0].follows(&heard[4095]));
    assert!(!heard[2].follows(&heard[0]) && !heard[0].follows(&heard[1]));
    let other = read_all(&alphabet, &frames(&alphabet, 8, 2));
    assert!(!other[1].follows(&heard[0]));
}

#[test]
fn every_mark_is_read_back_in_both_laws() {
    for law in [Law::Pcmu, Law::Pcma] {
        let alphabet = Alphabet::new(law);
        let mut samples = [0; FRAME];
        for call in (0..4096).step_by(41) {
            for frame in (0..4096).step_by(53) {
                let mark = Mark { call, frame };
                alphabet.write(mark, &mut samples);
                let reading = alphabet.read(&samples).unwrap();
                assert_eq!((reading.mark, reading.exact), (mark, true));
            }
        }
    }
}

#[test]
fn a_shift_by_any_number_of_samples_is_found_and_timed() {
    let alphabet = Alphabet::new(Law::Pcmu);
    for shift in [0, 1, 3, 40, 80, 159, 160, 161, 333] {
        let mut stream = vec![0xff; shift];
        stream.extend(frames(&alphabet, 77, 20));
        stream.resize(stream.len().next_multiple_of(FRAME), 0xff);
        let heard = read_all(&alphabet, &stream);
        assert_eq!(heard.len(), 20, "shift {shift}");
        for (frame, mark) in heard.iter().enumerate() {
            assert_eq!(
                mark.mark,
                Mark {
                    call: 77,
                    frame: frame as u16
                }
            );
            assert!(mark.exact);
            let samples = (shift + frame * FRAME) as u64;
            assert_eq!(
                mark.at,
                1_000_000_000 + samples * SAMPLE_NS,
                "shift {shift} frame {frame}"
            );
            assert_eq!(u64::from(mark.timestamp), samples);
        }
    }
}

#[test]
fn silence_put_in_between_moves_the_marks_and_loses_none_that_are_whole() {
    let alphabet = Alphabet::new(Law::Pcmu);
    let marks = frames(&alphabet, 5, 10);
    let mut stream = marks[..4 * FRAME].to_vec();
    stream.extend([0xff; 230]);
    stream.extend(&marks[4 * FRAME..]);
    stream.resize(stream.len().next_multiple_of(FRAME), 0xff);
    let heard = read_all(&alphabet, &stream);
    assert_eq!(
        heard.iter().map(|mark| mark.mark.frame).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(heard[4].timestamp, (4 * FRAME + 230) as u32);
}

#[test]
fn a_smeared_and_quieter_copy_is_read_by_its_signs() {
    let alphabet = Alphabet::new(Law::Pcmu);
    let linear: Vec<i32> = frames(&alphabet, 300, 12)
        .iter()
        .map(|&code| i32::from(Law::Pcmu.decode(code)))
        .collect();
    let mut stream = vec![0xff; 57];
    for index in 0..linear.len() {
        let before = if index > 0 { linear[index - 1] } else { 0 };
        let after = linear.get(index + 1).copied().unwrap_or(0);
        stream.push(Law::Pcmu.encode(((before + 2 * linear[index] + after) / 5) as i16));
    }
    stream.resize(stream.len().next_multiple_of(FRAME), 0xff);
    let heard = read_all(&alphabet, &stream);
    assert_eq!(heard.len(), 12);
    for (frame, mark) in heard.iter().enumerate() {
        assert_eq!(
            mark.mark,
            Mark {
                call: 300,
                frame: frame as u16
            }
        );
        assert!(!mark.exact);
        let expected = (57 + frame * FRAME) as i64;
        assert!((i64::from(mark.timestamp) - expected).abs() <= 1);
    }
}

#[test]
fn noise_and_silence_say_nothing() {
    let alphabet = Alphabet::new(Law::Pcmu);
    let mut state = 1u32;
    let noise: Vec<u8> = (0..200 * FRAME)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    assert!(read_all(&alphabet, &noise).is_empty());
    assert!(read_all(&alphabet, &[0xff; 50 * FRAME]).is_empty());
}

#[test]
fn an_interruption_joins_no_halves() {
    let alphabet = Alphabet::new(Law::Pcmu);
    let marks = frames(&alphabet, 9, 2);
    let mut reader = MarkReader::default();
    let mut heard = Vec::new();
    reader.receive(&alphabet, &marks[..80], 0, 0, |mark| heard.push(mark));
    reader.interrupt();
    reader.receive(&alphabet, &marks[80..240], 0, 0, |mark| heard.push(mark));
    assert!(heard.is_empty());
}
