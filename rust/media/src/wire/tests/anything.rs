//! Whatever an agent sends, cut in whatever way.

use super::*;

fn agent_bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(r#"{"event":"media","media":{"payload":"AAAA"}}"#.to_owned()),
        Just(r#"{"event":"mark","mark":{"name":"\u00e9"}}"#.to_owned()),
        Just(r#"{"type":"ready","audio":{"rate":8000}}"#.to_owned()),
        Just(r#"{"type":"clear"}"#.to_owned()),
        Just(r#"{"type":"dtmf","digits":"12"}"#.to_owned()),
        "[{}\\[\\]:,\"a-z0-9\\\\]{0,40}",
    ];
    let frame = prop_oneof![
        4 => text.prop_map(|text| (0x81, text.into_bytes())),
        2 => (prop_oneof![Just(0x82_u8), Just(0x02), Just(0x80), Just(0x00), Just(0x89), Just(0x8A)], prop::collection::vec(any::<u8>(), 0..100)),
        1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..10)),
    ];
    prop::collection::vec(frame, 0..20).prop_map(|frames| {
        frames
            .into_iter()
            .flat_map(|(first, payload)| [&[first, payload.len() as u8][..], &payload].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn whatever_an_agent_sends_the_wire_says_the_same_for_any_cut_and_writes_whole_frames(
        bytes in agent_bytes(), cuts in prop::collection::vec(0_usize..50, 0..30), twilio: bool,
    ) {
        let fresh = || if twilio { Pair::twilio() } else { Pair::offhook() };
        let mut whole = fresh();
        let said = whole.bytes(&bytes);
        let mut cut = fresh();
        let mut rest = &bytes[..];
        let mut said_cut = Vec::new();
        for length in cuts {
            let (head, tail) = rest.split_at(length.min(rest.len()));
            said_cut.extend(cut.bytes(head));
            rest = tail;
        }
        said_cut.extend(cut.bytes(rest));
        prop_assert_eq!(&said_cut, &said);
        let ends = said.iter().filter(|said| matches!(said, Said::Closed { .. })).count();
        prop_assert!(ends <= 1);
        prop_assert_eq!(whole.read(), cut.read());
    }
}
